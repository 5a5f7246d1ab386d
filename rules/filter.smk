# Filter (ECGVF, step 3): pairs whose images show the concept on the unsafe side only.


rule filter_pairs:
    input:
        manifest=paths.pair_manifest("{concept}"),
        candidates=paths.candidates("{concept}"),
        judge=judge_file,
    output:
        pairs=paths.pairs("{concept}"),
        dropped=paths.dropped("{concept}"),
    params:
        code=code("filter_pairs"),
        judge=lambda wildcards: experiment.concepts[wildcards.concept].judge.model_dump(),
        drop=experiment.filter.drop,
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/filter_pairs-{concept}.log"),
    benchmark:
        paths("benchmarks/filter_pairs-{concept}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/filter_pairs.py"
