# Machine: what a run needs to know of where it runs, and what Snakemake would leave to the user.

import os
import sys
from shlex import quote

from ear.machine import memory_mb

# Many containers set it; importing torch and transformers then takes 12 s in place of 6, in every job.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Snakemake puts the interpreter's path into a shell command as it is (its issue 2645): a blank would end it.
if quote(sys.executable) != sys.executable:
    folder, sys.executable = os.path.split(sys.executable)
    if os.pathsep in folder:
        sys.exit(
            f"error: {folder}: found a colon in the interpreter's path, wanted none: move the environment"
        )
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])

if workflow.remote_exec:
    # A job that a cluster's executor submitted, here by profiles/slurm: see ear/jobs.py.
    os.environ["EAR_SUBMITTED"] = "1"
elif workflow.resource_settings.nodes is not None:
    if odd := set('$`"\\') & set(os.getcwd()):
        found = " ".join(sorted(odd))
        sys.exit(
            f"error: {os.getcwd()}: found {found} in the path, which Snakemake does not quote for a cluster: move the clone"
        )
else:
    # One machine. GPU jobs take turns unless there are more, and so do jobs that ask a chat endpoint. A rule that asks for
    # more memory than there is runs alone.
    for name, amount in {"gpu": 1, "endpoint": 1, "mem_mb": memory_mb()}.items():
        if name not in workflow.global_resources:
            workflow.register_resource(name, amount)
