# Machine: what a run needs to know of where it runs, and what Snakemake would leave to the user.

import os
import subprocess
import sys
from shlex import quote

from ear.workflow.machine import memory_mb

# Many containers set it; importing torch and transformers then takes 12 s in place of 6, in every job.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Snakemake puts the interpreter's path into a shell command as it is (its issue 2645): a blank would end it.
if quote(sys.executable) != sys.executable:
    folder, sys.executable = os.path.split(sys.executable)
    if os.pathsep in folder:
        sys.exit(
            f"error: {folder}: found a colon in the interpreter's path, wanted none: move the environment"
        )
    os.environ.update(PATH=os.pathsep.join([folder, os.environ.get("PATH", os.defpath)]))

# Snakemake names its executor too late to set limits by it: the default resources of profiles/slurm say that it is a cluster.
CLUSTER = "cluster" in (workflow.resource_settings.default_resources or {})

# Braces are wildcards to Snakemake; the command that a job of a cluster runs has its folder in it, half quoted.
for letter in "{}" + '$`"\\' * CLUSTER:
    if letter in os.getcwd() or letter in workflow.basedir:
        sys.exit(
            f"error: {os.getcwd()}: found {letter} in the path, which Snakemake cannot have there: move the clone"
        )

if workflow.remote_exec:
    # A job that a cluster's executor submitted, here by profiles/slurm: see ear/workflow/jobs.py.
    os.environ.update(EAR_SUBMITTED="1")
elif not CLUSTER:
    # One machine. GPU jobs take turns unless there are more, and so do jobs that ask a chat endpoint. A rule that asks for
    # more memory than there is runs alone.
    for name, amount in {"gpu": 1, "endpoint": 1, "mem_mb": memory_mb()}.items():
        if name not in workflow.global_resources:
            workflow.register_resource(name, amount)


def check_limits():
    """Refuse a run whose limits were set for another executor than it has."""
    if workflow.local_exec and CLUSTER:
        sys.exit(
            "error: --default-resources: found cluster=1, wanted none of it on one machine: leave profiles/slurm out"
        )
    if not workflow.local_exec and not CLUSTER:
        sys.exit(
            "error: --default-resources: found no cluster=1, wanted it: use --workflow-profile profiles/slurm"
        )


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
    # A process of its own: torch would stay in this one.
    command = [sys.executable, "-m", "ear.commands.check.findings"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if subprocess.run(command, input=json.dumps(given), text=True, env=environment).returncode:
        sys.exit(1)
