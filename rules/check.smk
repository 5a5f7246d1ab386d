# Check: what would stop the experiment on this machine, before anything is fetched. `snakemake check` prints a line for each
# thing it looks at; a run with jobs on a GPU begins with the lines that concern the machine.


rule check:
    params:
        config=experiment.model_dump(),
        catalogue=str(ROOT / "assets.yaml"),
        memory_mb=BACKBONE_MB,
        slurm=slurm_flags,
    log:
        paths("logs/check.log"),
    threads: 1
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
        "../scripts/check.py"
