"""Progress of long loops: rate and remaining time on the terminal, one closing line in the job's log."""

import io
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm.auto import tqdm

T = TypeVar("T")
logger = logging.getLogger(__name__)

# A terminal is redrawn often; a file or a CI log gets a line twice a minute. Short loops show nothing.
TERMINAL_INTERVAL_S, FILE_INTERVAL_S = 0.5, 30.0
DELAY_S = 3.0


class Bar(tqdm):
    """A progress bar on standard error, also for libraries that take a class or an object of tqdm's."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._terminal, self._shown = sys.stderr.isatty(), time.monotonic()
        if not self._terminal:
            tqdm.monitor_interval = 0  # its monitor would repeat the last state every ten seconds
        settings |= {
            "file": sys.stderr if self._terminal else io.StringIO(),
            "mininterval": TERMINAL_INTERVAL_S if self._terminal else FILE_INTERVAL_S,
            "delay": DELAY_S,
            "dynamic_ncols": self._terminal,
            "ncols": None if self._terminal else 100,
            "leave": False,
        }
        super().__init__(*args, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show the state; off a terminal on a line of its own, unless the last one was a moment ago."""
        if self._terminal:
            super().display(msg, pos)
        elif msg != "" and time.monotonic() - self._shown >= FILE_INTERVAL_S:
            self._shown = time.monotonic()
            sys.stderr.write(f"{str(self).strip()}\n")


def progress(iterable: Iterable[T], desc: str, unit: str = "it", total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar.

    Args:
        iterable: what to go through.
        desc: what is being done, with its subject ("rendering church/ear/seed0").
        unit: name of one item ("image", "step").
        total: number of items where the iterable has no length.
    """
    started, count = time.monotonic(), 0
    for item in Bar(iterable, desc=desc, unit=unit, total=total):
        yield item
        count += 1
    seconds = time.monotonic() - started
    logger.info("%s: %d %s in %.1f s (%.1f/s)", desc, count, unit, seconds, count / max(seconds, 1e-9))
