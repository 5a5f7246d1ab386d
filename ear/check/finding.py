"""One line of the check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what was found.

    Attributes:
        level: "error" would stop the run, "warning" makes it slower or may stop it.
        what: was looked at.
        found: what was found and, unless all is well, what to do.
    """

    level: Literal["ok", "warning", "error"]
    what: str
    found: str

    def __str__(self) -> str:
        return f"{self.level}: {self.what}: {self.found}"
