"""Progress of long loops: rate and remaining time on the terminal, one closing line in the job's log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
logger = logging.getLogger(__name__)

# A terminal is redrawn often; a file or a CI log gets a line twice a minute. Short loops show nothing.
TERMINAL_INTERVAL_S, FILE_INTERVAL_S = 0.5, 30.0
DELAY_S = 3.0


class _Lines:
    """A stream that is no terminal: each state of the bar on a line of its own, without carriage returns."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(iterable: Iterable[T], desc: str, unit: str = "it", total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar.

    Args:
        iterable: what to go through.
        desc: what is being done, with its subject ("rendering church/ear/seed0").
        unit: name of one item ("image", "step").
        total: number of items where the iterable has no length.

    Yields:
        The items of ``iterable``, unchanged.
    """
    terminal = sys.stderr.isatty()
    if not terminal:
        tqdm.monitor_interval = 0  # its monitor would repeat the last state every ten seconds
    bar = tqdm(
        iterable,
        desc=desc,
        unit=unit,
        total=total,
        file=sys.stderr if terminal else _Lines(),
        mininterval=TERMINAL_INTERVAL_S if terminal else FILE_INTERVAL_S,
        delay=DELAY_S,
        dynamic_ncols=terminal,
        ncols=None if terminal else 100,
        leave=False,
    )
    started, count = time.monotonic(), 0
    for item in bar:
        yield item
        count += 1
    seconds = time.monotonic() - started
    logger.info("%s: %d %s in %.1f s (%.1f/s)", desc, count, unit, seconds, count / max(seconds, 1e-9))
