"""What the terminal shows of a run: a line a finished job; of a dry run each job and why it would run."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TextIO

from ear.workflow.jobs import over_bars

# What the workflow engine says of itself; all of it stands in its log file.
_ASIDES = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Complete log(s)",
    "Conda environments: ignored",
    "Elapsed time",
    "Exiting because a job execution failed",
    "Job ",  # "… has been submitted with SLURM jobid …", "… rate limit reached"
    "Reasons:",
    "Removing ",
    "Rules with provenance triggered jobs",
    "RuleException:\nCalledProcessError",
    "SLURM run ID",
    "Select jobs to execute",
    "Some jobs were triggered by provenance information",
    "Touching output file",
    "Using shell",
    "WorkflowError:\nAt least one job did not complete successfully",
)
_FOR_THE_LOG = ("job_started", "resources_info", "shellcmd", "workflow_started")
_RESTART = "Trying to restart job "
_UPDATED_BY_JOBS = "Input files updated by another job"
_FILES_SHOWN = 3


class Terminal(logging.Handler):
    """The records of Snakemake's logger, as lines for a person; ``at_rest`` adds to "nothing to do"."""

    def __init__(self, stream: TextIO, dry: bool, at_rest: Callable[[], str]) -> None:
        super().__init__()
        self.stream, self.dry, self.at_rest = stream, dry, at_rest
        self._started = time.time()
        self._messages: dict[int, str] = {}
        self._finished: list[str] = []
        self._counted = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if text := self._text(record):
                self.stream.write(over_bars(text, self.stream) + "\n")
                self.stream.flush()
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def _text(self, record: Any) -> str:
        event = getattr(record, "event", None)
        if event in _FOR_THE_LOG:
            return ""
        if event == "run_info":  # of a dry run it comes twice: the numbers by rule belong below the list
            first, self._counted = not self._counted, True
            counts = "" if first else f"\n{record.getMessage()}"
            return counts if self.dry else f"{record.stats['total']} jobs"
        if event == "job_info":
            self._messages[record.jobid] = record.rule_msg or record.rule_name
            return f"{self._messages[record.jobid]}\n    {because(record.reason)}" if self.dry else ""
        if event == "job_finished":
            self._finished.append(self._messages.get(record.job_id, f"job {record.job_id}"))
            return ""
        if event == "progress":
            counter = f"{record.done:{len(str(record.total))}} of {record.total}"
            taken = str(timedelta(seconds=round(record.created - self._started)))
            lines = [f"{counter}  {taken:>7}  {message}" for message in self._finished]
            self._finished.clear()
            return "\n".join(lines)
        if event == "job_error":
            lines = [f"failed: {self._messages.get(record.jobid, record.rule_name)}"]
            lines += [record.rule_msg.strip()] if record.rule_msg else []
            return "\n    ".join([*lines, *record.log])
        if event in (None, "error"):
            return self._said(record.getMessage())
        return self.format(record)

    def _said(self, message: str) -> str:
        if message.startswith(_RESTART):
            job = int(message.removeprefix(_RESTART).rstrip("."))
            return f"again: {self._messages.get(job, job)}"
        if message.startswith("Nothing to be done") and not self.dry:
            return "\n".join(filter(None, [message, self.at_rest()]))
        return "" if message.startswith(_ASIDES) else message


def because(reason: str) -> str:
    """The reason of a job in short: a few files of each kind, without those that other jobs will write."""
    parts = reason.split("; ")
    short = []
    for part in [part for part in parts if not part.startswith(_UPDATED_BY_JOBS)] or parts:
        kind, _, files = part.partition(": ")
        names = sorted(files.split(", "))
        if "files" in kind and len(names) > _FILES_SHOWN:
            part = f"{kind}: {', '.join(names[:_FILES_SHOWN])} and {len(names) - _FILES_SHOWN} more"
        short.append(part)
    return "; ".join(short)
