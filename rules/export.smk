# Export: an erased model as a plain transformers folder with a model card. Not part of rule all; asked for by its card's path.


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
    script:
        "../scripts/export_model.py"
