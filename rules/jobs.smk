# What the rules of experiments and of recipes share: how a config is read, the fingerprint of a rule's code, resources that grow.

import sys
import time
from pathlib import Path

from ear.errors import InputError
from ear.workflow.jobs import failures
from ear.workflow.jobs import told_again
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
