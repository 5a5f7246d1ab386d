# Data set: a concept's pairs with splits, images or their seeds, and a datasheet. Not part of rule all; asked for by its card's path.


rule write_dataset:
    input:
        pairs=paths.pairs("{concept}"),
        failed=paths.dropped("{concept}"),
        prompts=paths.evaluation_prompts("{concept}"),
        sources=lambda wildcards: of_sources(wildcards.concept, "pairs.csv"),
        rejected=lambda wildcards: (
            paths.rejected(wildcards.concept) if wildcards.concept in experiment.own_prompts else []
        ),
        manifest=paths.pair_manifest("{concept}"),
    output:
        card=paths.dataset("{concept}"),
    params:
        code=code("write_dataset"),
        subject=lambda wildcards: dict(
            experiment=experiment.experiment,
            licence="mit" if experiment.world else "other",
            **experiment.concepts[wildcards.concept].model_dump(include={"kind", "words", "also_named"}),
        ),
        making=lambda wildcards: dict(
            sources=pair_sources(wildcards.concept),
            judge=experiment.concepts[wildcards.concept].judge.model_dump(),
            drop=experiment.filter.drop,
            backbone=CATALOGUE[experiment.backbone.asset].title,
            dtype=experiment.backbone.dtype,
            seed=experiment.seed,
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
