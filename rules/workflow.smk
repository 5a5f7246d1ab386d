# What all runs share: how a config is read, the fingerprint of a rule's code, the machine, the terminal.


import sys
import time
from pathlib import Path

from ear.errors import InputError
from ear.workflow.jobs import failures
from ear.workflow.fingerprint import code_fingerprint

STARTED = time.time()
ROOT = Path(workflow.basedir)


def read_or_exit(parse, **context):
    """The typed config; each wrong key of it ends the run in a line of its own."""
    try:
        return parse(config, source=str((workflow.configfiles or ["--config"])[-1]), **context)
    except InputError as error:
        sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))


def code(script, *modules):
    """Fingerprint of a script and of what it reaches: an edit reruns the stages that use it, a comment reruns nothing."""
    return code_fingerprint(ROOT / "scripts" / f"{script}.py", ROOT, modules)


def growing(amount):
    """A resource that grows with each attempt: a job that ran out of it is tried again with more."""
    return lambda wildcards, attempt: amount * attempt


# Machine: what a run needs to know of where it runs, and what Snakemake would leave to the user.


import json
import os
import subprocess
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
CLUSTER = "on_cluster" in (workflow.resource_settings.default_resources or {})

# Braces are wildcards to Snakemake; the command that a job of a cluster runs has its folder in it, half quoted.
for letter in "{}" + '$`"\\' * CLUSTER:
    if letter in os.getcwd() or letter in workflow.basedir:
        sys.exit(
            f"error: {os.getcwd()}: found {letter} in the path, which Snakemake cannot use, wanted none: move the clone"
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
            "error: --default-resources: found on_cluster=1, wanted it on Slurm only: leave out profiles/slurm"
        )
    if not workflow.local_exec and not CLUSTER:
        sys.exit(
            "error: --default-resources: found no on_cluster=1, wanted it on Slurm: use --workflow-profile profiles/slurm"
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
        "status_command": settings.status_command,
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
        "memory_mb": LARGEST_MB,
        "backbone": any(hasattr(job.input, "backbone") for job in jobs),
    }
    # A process of its own: torch would stay in this one.
    command = [sys.executable, "-m", "ear.commands.check"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if subprocess.run(command, input=json.dumps(given), text=True, env=environment).returncode:
        sys.exit(1)


# Terminal: a line a finished job. All that Snakemake says of a run is in .snakemake/log, and on the terminal with --verbose.


from snakemake.logging import DefaultFormatter, logger

from ear.report.summary import summary
from ear.workflow.terminal import Terminal


def ending():
    """What a run ends with: a small table and the report's path, where the report was asked for."""
    wanted = (file for job in workflow.dag.targetjobs for file in (*job.input, *job.output))
    if paths.report not in wanted:
        return ""
    return summary(
        paths.table("metrics.csv"),
        paths.report,
        list(experiment.concepts),
        experiment.evaluation.shown_method,
    )


class WholeFormatter(DefaultFormatter):
    """Snakemake's own, whose entry of a job with a message leaves out files, wildcards and resources."""

    def format_job_info(self, msg):
        whole = super().format_job_info(msg | {"rule_msg": None})
        return f"{whole}\n    message: {msg['rule_msg']}"


for handler in list(logger.handlers):
    handler.setFormatter(
        WholeFormatter(workflow.output_settings.quiet, workflow.output_settings.show_failed_logs)
    )
    shown = workflow.is_main_process and not workflow.output_settings.verbose
    if shown and handler.name == "DefaultStreamHandler":
        terminal = Terminal(handler.stream, dry=workflow.output_settings.dryrun, at_rest=ending)
        terminal.setFormatter(handler.formatter)
        for one in handler.filters:
            terminal.addFilter(one)
        logger.removeHandler(handler)
        logger.addHandler(terminal)
