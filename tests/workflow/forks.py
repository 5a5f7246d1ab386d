"""Dry runs without the seconds that Snakemake's imports take: a process that has imported it forks for each.

Reads a folder, a log and Snakemake's arguments as a line of JSON, and answers with the exit code.
"""

import json
import os
import sys
import traceback

import pandas
import pydantic
import snakemake.cli
import yaml

IMPORTED = (
    pandas,
    pydantic,
    yaml,
)  # what the package imports, but not the package itself: a copy has its own


def run(folder, log, arguments):
    """Snakemake as its command line runs it, in this process."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = 1
    try:
        snakemake.cli.main(arguments)
        code = 0
    except SystemExit as ending:
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
        else:
            code = ending.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(**json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
