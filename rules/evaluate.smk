# Evaluate: a verdict on every image, the scores of every (concept, method, seed), and the tidy tables of all of them.


rule evaluate:
    input:
        manifests=expand(
            paths.run("images", "{{concept}}", "{{method}}", "{{seed}}", "shard{shard}/manifest.csv"),
            shard=range(experiment.rendering.shards),
        ),
        captions=expand(
            paths.run("images", "{{concept}}", "{{method}}", "{{seed}}", "shard{shard}/captions.csv"),
            shard=range(experiment.rendering.shards),
        ),
        reference=paths.reference,
        classifier=paths.classifier,
        clip=paths.clip,
    output:
        verdicts=paths.run("evaluation", "{concept}", "{method}", "{seed}", "verdicts.csv"),
        scores=paths.run("evaluation", "{concept}", "{method}", "{seed}", "scores.csv"),
    params:
        code=code("evaluate"),
        judge=lambda wildcards: experiment.concepts[wildcards.concept].judge.model_dump(),
        window=lambda wildcards: experiment.method_window(wildcards.concept, wildcards.method),
        threads=experiment.backbone.threads,
    log:
        paths("logs/evaluate-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/evaluate-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        mem_mb=3000,
        runtime=60,
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/evaluate.py"


rule tabulate:
    input:
        verdicts=[paths.run("evaluation", *run, "verdicts.csv") for run in runs()],
        scores=[paths.run("evaluation", *run, "scores.csv") for run in runs()],
    output:
        metrics=report(paths.table("metrics.csv"), caption="../report/metrics.rst", category="Tables"),
        windows=report(
            paths.table("window-length.csv"), caption="../report/window-length.rst", category="Tables"
        ),
        main=multiext(paths.table("main"), ".csv", ".md", ".tex"),
    params:
        code=code("tabulate"),
        runs=runs(),
        windows={
            f"{concept}/{method}": experiment.method_window(concept, method)
            for concept in experiment.concepts
            for method in experiment.trained_methods
        },
    log:
        paths("logs/tabulate.log"),
    benchmark:
        paths("benchmarks/tabulate.tsv")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/tabulate.py"
