# Plan: what the experiment would draw, train, fetch and cost, before any of it is done. `snakemake plan` prints it.


rule plan:
    params:
        config=experiment.model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        benchmarks=paths("benchmarks"),
        record=paths.plan,
    log:
        paths("logs/plan.log"),
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plan the experiment"
    script:
        "../scripts/plan.py"
