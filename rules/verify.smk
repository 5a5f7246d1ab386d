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
        "../scripts/verify.py"
