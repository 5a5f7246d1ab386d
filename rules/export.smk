# Export, on demand: an erased model as a plain transformers folder, asked for by the path of its card, and `snakemake archive`.


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


rule archive:
    input:
        results(),
    output:
        archive=paths.archive,
    params:
        code=code("archive"),
        config=config,
        figures=figures(),
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
