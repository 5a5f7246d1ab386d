# Commands that are asked for by name: check, plan, cost, verify.


rule check:
    params:
        config=experiment.model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        memory_mb=LARGEST_MB,
        slurm=slurm_flags,
    log:
        paths("logs/check.log"),
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        "../envs/ear.yaml"
    retries: 0
    localrule: True
    message:
        "check this machine"
    script:
        "../scripts/commands_check.py"


# Plan: what the experiment would draw, train, fetch and cost, before any of it is done. `snakemake plan` prints it.


rule plan:
    params:
        config=experiment.model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        benchmarks=paths("benchmarks"),
        record=paths.plan,
    log:
        paths("logs/plan.log"),
    conda:
        "../envs/ear.yaml"
    message:
        "plan the experiment"
    script:
        "../scripts/commands_plan.py"


# Cost: what erasing took, by the logs of finished jobs. It differs from run to run, so that no result is made of it.


rule cost:
    params:
        trained=trained_jobs(),
        logs=paths("logs"),
        record=paths.table("cost.csv"),
    log:
        paths("logs/cost.log"),
    conda:
        "../envs/ear.yaml"
    retries: 0
    message:
        "list what erasing took"
    script:
        "../scripts/commands_cost.py"


# Verify: is a finished results folder what its jobs wrote? `snakemake verify` prints a line for each mismatch, and the
# commands that repair them.


import os


rule verify:
    params:
        config=experiment.model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        results=results(),
        configfiles=[os.path.relpath(path) for path in workflow.overwrite_configfiles],
    log:
        paths("logs/verify.log"),
    threads: experiment.backbone.threads
    resources:
        mem_mb=4000,
        runtime=240,
    conda:
        "../envs/ear.yaml"
    retries: 0  # a mismatch stays one
    message:
        "verify the results"
    script:
        "../scripts/commands_verify.py"
