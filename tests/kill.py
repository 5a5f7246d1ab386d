"""Kill a working process at chosen moments, as a node failure or a scheduler would."""

import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

# Children are forked from a process that has imported the libraries and done nothing else: they are at work
# within milliseconds, and no thread of the test's own process is forked with them.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.tiny", "ear.erasure.run", "ear.images.rendering"])

TIMEOUT_S = 120


def run_to_the_end(work: Callable, arguments: Sequence[Any]) -> float:
    """Call ``work(begun, *arguments)`` in a child; it must end well. Returns seconds from ``begun()`` to the end."""
    child, started = _start(work, arguments)
    child.join(TIMEOUT_S)
    seconds = time.monotonic() - started
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode == 0, f"the child ended with exit code {child.exitcode}"
    return seconds


def kill_at_random(work: Callable, arguments: Sequence[Any], kills: int, seconds: float) -> int:
    """Call ``work(begun, *arguments)`` in one child after another and SIGKILL each after ``begun()``.

    Args:
        work: a function of a module (the child imports it by its name); it calls ``begun()`` once it has loaded
            what it works with.
        arguments: as pickle takes them.
        kills: children; one that is done before its kill has ended well.
        seconds: that the whole work takes; the kills come at random moments of it, the same in each run.

    Returns:
        How many kills met a working child.
    """
    moments, landed = random.Random(1), 0
    for _ in range(kills):
        child, started = _start(work, arguments)
        delay = moments.uniform(0.02, seconds / kills)
        child.join(max(0.0, started + delay - time.monotonic()))
        child.kill()
        child.join()
        assert child.exitcode in (0, -9), f"the child ended with exit code {child.exitcode}"
        landed += child.exitcode == -9
    return landed


def _start(work: Callable, arguments: Sequence[Any]) -> tuple[Any, float]:
    reader, writer = _context.Pipe(duplex=False)
    child = _context.Process(target=_call, args=(work, arguments, writer))
    child.start()
    writer.close()
    reader.recv()  # raises EOFError where the child ended before it had begun
    return child, time.monotonic()


def _call(work: Callable, arguments: Sequence[Any], writer: Any) -> None:
    work(lambda: writer.send("at work"), *arguments)
