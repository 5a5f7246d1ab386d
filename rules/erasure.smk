# Erase: token sequences of the frozen model, then fine-tuning. One job trains all windows of a (concept, method, seed), or of
# several concepts that a method erases together, whose windows are the same.


rule sample_sequences:
    input:
        backbone=BACKBONE_FILE,
        pairs=paths.training_pairs("{concept}", experiment.filter.drop),
    output:
        sequences=paths.sequences("{concept}", "{seed}", "{context}", "{encoding}"),
    params:
        code=code("erasure_sample_sequences"),
        backbone=BACKBONE,
        pairing=lambda wildcards: experiment.pairing(wildcards.concept, wildcards.context),
        guidance=experiment.sampling.guidance,
        temperature=experiment.sampling.temperature,
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/sample_sequences-{concept}-{seed}-{context}-{encoding}.log"),
    benchmark:
        paths("benchmarks/sample_sequences-{concept}-{seed}-{context}-{encoding}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_backbone("sample_sequences-{concept}-{seed}-{context}-{encoding}", 30),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        context="none|independent|aligned|mixed|anchored",
        encoding="raw|chat",
    message:
        "sample token sequences of {wildcards.concept} · {wildcards.encoding} prompts · {wildcards.context} context · seed {wildcards.seed}"
    script:
        "../scripts/erasure_sample_sequences.py"


rule erase:
    input:
        backbone=BACKBONE_FILE,
        pairs=pairs_of,
        sequences=sequences_of,
    output:
        edited=paths.run("erasure", "{erased}", "{method}", "{seed}", "weights.safetensors"),
        training=paths.run("erasure", "{erased}", "{method}", "{seed}", "training.csv"),
        windows=paths.run("erasure", "{erased}", "{method}", "{seed}", "windows.csv"),
    params:
        code=code("erasure_erase"),
        backbone=BACKBONE,
        settings=lambda wildcards: experiment.settings(first_erased(wildcards), wildcards.method).to_dict(),
        windows=lambda wildcards: experiment.trained_windows(first_erased(wildcards), wildcards.method),
        pairings=pairings_of,
        others=lambda wildcards: [
            experiment.also_erased(concept, wildcards.method) for concept in wildcards.erased.split(JOINT)
        ],
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/erase-{erased}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/erase-{erased}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_backbone("erase-{erased}-{method}-{seed}", 120),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        erased="|".join(map(re.escape, {experiment.edited(run)[0] for run in experiment.runs()})),
        method=TRAINED,
    message:
        "erase {wildcards.erased} · {wildcards.method} · W = {params.windows} · seed {wildcards.seed}"
    script:
        "../scripts/erasure_erase.py"


rule import_published:
    input:
        backbone=BACKBONE_FILE,
        weights=paths.asset("ear-weights"),
    output:
        edited=paths.run("erasure", "{concept}", "{method}", "{seed}", "weights.safetensors"),
        windows=paths.run("erasure", "{concept}", "{method}", "{seed}", "windows.csv"),
    params:
        code=code("erasure_import_published"),
        backbone=BACKBONE,
        pattern=lambda wildcards: experiment.methods[wildcards.method].weights[wildcards.concept],
        window=lambda wildcards: experiment.method_window(wildcards.concept, wildcards.method),
        threads=experiment.backbone.threads,
    log:
        paths("logs/import_published-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/import_published-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_backbone("import_published-{concept}-{method}-{seed}", 30),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=IMPORTED,
    message:
        "import published weights of {wildcards.concept} · {wildcards.method}"
    script:
        "../scripts/erasure_import_published.py"


# Export, on demand: an erased model as a plain transformers folder and a concept's pairs as a data set, each asked for by the path of
# its card, and `snakemake archive`.


rule export_model:
    input:
        backbone=BACKBONE_FILE,
        edited=exported_weights,
        prompts=paths.evaluation_prompts("{concept}"),
        metrics=paths.table("metrics.csv"),
    output:
        card=paths.export("{concept}", "{method}", "{seed}"),
    params:
        code=code("erasure_export_model"),
        dtype=experiment.backbone.dtype,
        subject=lambda wildcards: dict(
            experiment=experiment.experiment,
            concept=wildcards.concept,
            **experiment.concepts[wildcards.concept].model_dump(include={"kind", "words"}),
        ),
        sampling=experiment.sampling.model_dump(include={"guidance", "temperature"}),
        threads=experiment.backbone.threads,
    log:
        paths("logs/export_model-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/export_model-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        mem_mb=growing(BACKBONE_MB),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "export {wildcards.concept} · {wildcards.method} · seed {wildcards.seed}"
    script:
        "../scripts/erasure_export_model.py"


rule write_dataset:
    input:
        pairs=paths.pairs("{concept}"),
        failed=paths.dropped("{concept}"),
        prompts=paths.evaluation_prompts("{concept}"),
        manifest=paths.pair_manifest("{concept}"),
    output:
        card=paths.dataset("{concept}"),
    params:
        code=code("erasure_write_dataset"),
        making=lambda wildcards: dict(
            experiment=experiment.experiment,
            licence="mit" if experiment.world else "other",
            judge=experiment.concepts[wildcards.concept].judge.by,
            drop=experiment.filter.drop,
            backbone=CATALOGUE[experiment.backbone.asset].title,
            **experiment.concepts[wildcards.concept].model_dump(include={"kind", "words"}),
            **experiment.sampling.model_dump(include={"guidance", "temperature"}),
        ),
    log:
        paths("logs/write_dataset-{concept}.log"),
    benchmark:
        paths("benchmarks/write_dataset-{concept}.tsv")
    resources:
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "write the data set of {wildcards.concept}"
    script:
        "../scripts/erasure_write_dataset.py"


rule archive:
    input:
        lambda wildcards: results(),
    output:
        archive=paths.archive,
    params:
        code=code("erasure_archive"),
        config=config,
    log:
        paths("logs/archive.log"),
    benchmark:
        paths("benchmarks/archive.tsv")
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "pack the archive"
    script:
        "../scripts/erasure_archive.py"
