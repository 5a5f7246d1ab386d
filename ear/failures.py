"""What failed in a run, told again at its end: with everything else going on, it is hours above."""

from collections.abc import Sequence
from pathlib import Path

MARK = " ERROR ear.jobs: "
"""In front of what a job says of its end, see ``ear.jobs.LINE``."""


def failures(folder: str | Path, since: float) -> list[str]:
    """The lines with which jobs ended, each behind its log.

    Args:
        folder: of the logs, one a job.
        since: seconds since 1970; logs that were written before are of other runs.
    """
    logs = [log for log in sorted(Path(folder).glob("*.log")) if log.stat().st_mtime >= since]
    return [
        f"{log}: {line.split(MARK, 1)[1]}"
        for log in logs
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if MARK in line
    ]


def told_again(lines: Sequence[str]) -> str:
    """The lines as the end of a run shows them; nothing without any."""
    if not lines:
        return ""
    return "\n".join(
        ["What failed (all that does not need it was made; mend it and run the same command again):", *lines]
    )
