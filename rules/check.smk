# Check: what would stop the experiment on this machine, before anything is fetched. `snakemake check` prints a line for each
# thing it looks at; a run with jobs on a GPU begins with the lines that concern the machine.

import subprocess


def slurm_flags(wildcards):
    """What jobs ask Slurm for, where it runs them."""
    if workflow.local_exec:
        return None
    asked = [rule.resources.get("slurm_partition") for rule in workflow.rules]
    settings = workflow.executor_settings
    if not hasattr(settings, "status_command"):
        return {}  # another executor
    return {
        "partitions": sorted({name for one in asked if one for name in str(one.value).split(",")}),
        "settings": {name: getattr(settings, name) for name in ("no_account", "status_command")},
        "gpu": bool(GPU),
    }


def check_machine():
    """End a run on this machine whose jobs on a GPU cannot work here, before its first job; other runs go on."""
    if not workflow.local_exec or workflow.touch:
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if job.resources.get("gpu")]
    if not jobs:
        return
    given = {
        "config": experiment.model_dump(),
        "catalogue": str(ROOT / "assets.yaml"),
        "memory_mb": BACKBONE_MB,
        "backbone": any(hasattr(job.input, "backbone") for job in jobs),
    }
    command = [sys.executable, "-m", "ear.check"]  # a process of its own: torch would stay in this one
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if subprocess.run(command, input=json.dumps(given), text=True, env=environment).returncode:
        sys.exit(1)


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
    script:
        "../scripts/check.py"
