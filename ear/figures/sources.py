"""Which files hold the images of which method: the flat file lists of a job, put in order."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ear.figures.images import ImageSource

Windows = Mapping[str, int | None]
"""Method → its own window length; None for the original."""


def image_sources(
    windows: Windows, manifests: Sequence[str], verdicts: Sequence[str], blurred: bool = False
) -> list[ImageSource]:
    """The images of each method of one concept.

    Args:
        windows: methods in the order of the files.
        manifests: method by method, the shards of each together.
        verdicts: one file a method.
        blurred: whether they are shown blurred.
    """
    shards = len(manifests) // len(windows)
    return [
        ImageSource(
            method,
            [Path(path) for path in manifests[number * shards : (number + 1) * shards]],
            Path(verdicts[number]),
            window,
            blurred,
        )
        for number, (method, window) in enumerate(windows.items())
    ]


def sources_by_concept(
    windows: Mapping[str, Windows],
    manifests: Sequence[str],
    verdicts: Sequence[str],
    blurred: Collection[str],
) -> dict[str, list[ImageSource]]:
    """The same for several concepts, whose files follow each other; ``blurred`` names those shown blurred."""
    shards = len(manifests) // len(verdicts)
    found, first = {}, 0
    for concept, methods in windows.items():
        last = first + len(methods)
        found[concept] = image_sources(
            methods,
            manifests[first * shards : last * shards],
            verdicts[first:last],
            concept in blurred,
        )
        first = last
    return found


def sources_of_runs(
    runs: Sequence[tuple[str, str, int]],
    windows: Mapping[str, Windows],
    manifests: Sequence[str],
    verdicts: Sequence[str],
    blurred: Collection[str],
) -> dict[str, list[ImageSource]]:
    """Concept → the images of each of its runs.

    Args:
        runs: concept, method and fine-tuning seed, in the order of the files.
        windows: concept → method → its own window length.
        manifests: run by run, the shards of each together.
        verdicts: one file a run.
        blurred: concepts whose images are shown blurred.
    """
    shards = len(manifests) // len(runs)
    found: dict[str, list[ImageSource]] = defaultdict(list)
    for number, (concept, method, seed) in enumerate(runs):
        own = [Path(path) for path in manifests[number * shards : (number + 1) * shards]]
        window = windows[concept][method]
        source = ImageSource(method, own, Path(verdicts[number]), window, concept in blurred, seed)
        found[concept].append(source)
    return dict(found)
