"""Which files hold the images of which method: the flat file lists of a job, put in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ear.figures.images import ImageSource

Windows = Mapping[str, int | None]
"""Method → its own window length; None for the original."""


def image_sources(windows: Windows, manifests: Sequence[str], verdicts: Sequence[str]) -> list[ImageSource]:
    """The images of each method of one concept.

    Args:
        windows: methods in the order of the files.
        manifests: method by method, the shards of each together.
        verdicts: one file a method.
    """
    shards = len(manifests) // len(windows)
    return [
        ImageSource(
            method,
            [Path(path) for path in manifests[number * shards : (number + 1) * shards]],
            Path(verdicts[number]),
            window,
        )
        for number, (method, window) in enumerate(windows.items())
    ]


def sources_by_concept(
    windows: Mapping[str, Windows], manifests: Sequence[str], verdicts: Sequence[str]
) -> dict[str, list[ImageSource]]:
    """The same for several concepts, whose files follow each other."""
    files, jobs = len(manifests) // len(windows), len(verdicts) // len(windows)
    return {
        concept: image_sources(
            methods,
            manifests[number * files : (number + 1) * files],
            verdicts[number * jobs : (number + 1) * jobs],
        )
        for number, (concept, methods) in enumerate(windows.items())
    }
