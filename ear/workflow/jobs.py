"""What every job of the workflow does around its work: log, threads, errors, time and memory."""

import logging
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from ear.errors import FULL, InputError
from ear.workflow.machine import gpu_error, own_gpu

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MARK = f" ERROR {__name__}: "
"""In front of what a job says of its end."""
CLOSING = re.compile(r"wall time ([\d.]+) s, peak memory (\d+) MB(?:, peak GPU memory (\d+) MB)?$")
TAKEN_OVER = "taken over from an earlier try"
"""What a job says of work that it found done: the time of its log is not all that the work took."""
QUIET_LIBRARIES = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # its threads are none of those that the job was given
}
# A node's own /tmp may not survive a job, and homes have quotas. What the environment says already holds.
CACHES = {
    "HF_HUB_CACHE": "resources/cache/huggingface",  # not HF_HOME, where the hub's login is
    "TORCHINDUCTOR_CACHE_DIR": "resources/cache/inductor",
    "TRITON_CACHE_DIR": "resources/cache/triton",
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SUBMITTED = "EAR_SUBMITTED"
"""Set by rules/workflow.smk in jobs that our Slurm profile submitted; others may be in an allocation too."""
BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024

logger = logging.getLogger(__name__)


@contextmanager
def job(snakemake: Any, threads: int | None = None) -> Iterator[None]:
    """Run the work of one rule's script.

    The rule's log file gets everything from INFO on and Python's warnings, and closes with wall time and peak
    memory (``CLOSING``), that of a GPU too. The terminal gets logged warnings and errors only. Bad input and
    a full disk end the job with one line, ``error: …``, and exit code 1; any other exception goes on, with
    its traceback in the log too. A job that ends well leaves a record of what it was made of beside its log.
    A job on a GPU gets one of its own, unless Slurm has seen to that.

    Scripts import torch, transformers and what needs them inside the block: settings that a library reads
    when it is imported then hold, and a failing import is logged.

    Args:
        snakemake: the object that Snakemake puts into a script.
        threads: set torch to this number of CPU threads and, in a job on the CPU, to deterministic
            algorithms. Without it torch is not imported.
    """
    started = time.monotonic()
    os.environ.update(QUIET_LIBRARIES)
    for variable, folder in CACHES.items():
        os.environ.setdefault(variable, str(Path(folder).absolute()))
    root = logging.getLogger()
    level_before = root.level
    log_file = logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")
    log_file.setFormatter(logging.Formatter(LINE))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter(over_bars("%(levelname)s: %(message)s", sys.stderr)))
    terminal.addFilter(lambda record: record.name != "py.warnings")
    root.setLevel(logging.INFO)
    root.addHandler(log_file)
    root.addHandler(terminal)
    logging.captureWarnings(True)
    gpu = getattr(getattr(snakemake, "resources", None), "gpu", 0) > 0
    held = ExitStack()
    try:
        if SUBMITTED not in os.environ and gpu:
            held.enter_context(own_gpu())
        elif SUBMITTED in os.environ and not gpu:  # a GPU's driver maps more than it uses
            # Many clusters do not: one job would then bring down all others of its node.
            limit = int(snakemake.resources.mem_mb) * 2**20  # MiB, as in Slurm
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            logger.info("this job's memory is limited to %d MiB", snakemake.resources.mem_mb)
        if threads is not None:
            _set_threads(threads, gpu)
        yield
        if hasattr(snakemake, "rule"):
            # Late: it brings pandas, for which a job that fails need not wait.
            from ear.workflow.provenance import record_job

            record_job(snakemake)
    except Exception as error:
        root.removeHandler(terminal)  # the interpreter prints there
        if (line := _one_line(error)) is None:
            logger.exception("the job failed")
            raise
        logger.error("%s", line)
        print(over_bars(f"error: {line}", sys.stderr), file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        held.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_MAXRSS / 1e6
        spent = f"wall time {time.monotonic() - started:.1f} s, peak memory {peak:.0f} MB"
        torch = sys.modules.get("torch")
        if gpu and torch is not None and torch.cuda.is_initialized():
            spent += f", peak GPU memory {torch.cuda.max_memory_allocated() / 1e6:.0f} MB"
        logger.info("%s", spent)
        logging.captureWarnings(False)
        root.removeHandler(terminal)
        root.removeHandler(log_file)
        root.setLevel(level_before)
        log_file.close()


def over_bars(text: str, stream: TextIO) -> str:
    """A line for a terminal, which wipes the progress bar that another job may have left there."""
    return f"\r\x1b[K{text}" if stream.isatty() else text


def _one_line(error: Exception) -> str | None:
    """What to tell who can mend it; None for an error of the code."""
    if isinstance(error, InputError):
        return str(error)
    wanted = "wanted free space on the disk: make some, and run the same command again to continue"
    # safetensors hands the system's words on, without its number; torch.save raises one of its own after it.
    for one in (error, error.__context__):
        if getattr(one, "errno", None) in FULL or any(os.strerror(number) in str(one) for number in FULL):
            return f"{one}: {wanted}"
    return None


def _set_threads(threads: int, gpu: bool) -> None:
    """Fix the number of CPU threads and the algorithms: with 1 and 2 threads the bytes of a result differ.

    Byte identity is not promised on a GPU, where deterministic algorithms cost time.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    import torch

    torch.set_num_threads(threads)
    if gpu:  # before any weights are loaded: none may be there, or its driver may be too old
        if found := gpu_error():
            wanted = f"wanted one that torch {torch.__version__} can use: run `snakemake check` for details"
            raise InputError(f"GPU: found {found!r}, {wanted}")
    else:
        # Where GPUs are no resource of the cluster, such a job may use one: not all of its operations have a
        # deterministic form.
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())


def failures(folder: str | Path, since: float) -> str:
    """The lines with which jobs ended, each behind its log, as the end of a run shows them, if any.

    Args:
        folder: of the logs, one a job.
        since: seconds since 1970; logs that were written before are of other runs.
    """
    lines = [
        f"{log}: {line.split(MARK, 1)[1]}"
        for log in sorted(Path(folder).glob("*.log"))
        if log.stat().st_mtime >= since
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if MARK in line
    ]
    head = "Failed jobs (all others that could run did; fix the cause and run the same command again):"
    return "\n".join([head, *lines]) if lines else ""
