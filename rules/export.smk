# Export, on demand: an erased model as a plain transformers folder and a concept's pairs as a data set, each asked for by the path of
# its card, and `snakemake archive`.


rule export_model:
    input:
        backbone=BACKBONE_FILE,
        adapter=exported_adapter,
        prompts=paths.evaluation_prompts("{concept}"),
        metrics=paths.table("metrics.csv"),
    output:
        card=paths.export("{concept}", "{method}", "{seed}"),
    params:
        code=code("export_model"),
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
        "../scripts/export_model.py"


rule write_dataset:
    input:
        pairs=paths.pairs("{concept}"),
        failed=paths.dropped("{concept}"),
        prompts=paths.evaluation_prompts("{concept}"),
        manifest=paths.pair_manifest("{concept}"),
    output:
        card=paths.dataset("{concept}"),
    params:
        code=code("write_dataset"),
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
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "write the data set of {wildcards.concept}"
    script:
        "../scripts/write_dataset.py"


rule archive:
    input:
        results(),
    output:
        archive=paths.archive,
    params:
        code=code("archive"),
        config=config,
    log:
        paths("logs/archive.log"),
    benchmark:
        paths("benchmarks/archive.tsv")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "pack the archive"
    script:
        "../scripts/archive.py"
