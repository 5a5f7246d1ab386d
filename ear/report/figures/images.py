"""Images with their verdicts: what the image grids and the gallery of the report are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageFilter

from ear.errors import InputError
from ear.evaluation.protocols import asks_for_concept, is_judged
from ear.prompts.tables import prompt_of
from ear.report.style import order_methods
from ear.workflow.files import read_csv
from ear.workflow.seeding import ORIGINAL

MANIFEST_COLUMNS = ("prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file")
VERDICT_COLUMNS = ("prompt_id", "window", "shown", "top1_object", "score")
IMAGE_COLUMNS = (
    *("method", "prompt_id", "prompt_set", "prompt", "object", "seed", "path"),
    *("shown", "top1_object", "score", "blurred"),
)


@dataclass(frozen=True)
class ImageSource:
    """Where one run's images of one concept are.

    Attributes:
        run_seed: the seed of fine-tuning.
        window: the window length whose images are meant, where the shards hold several; None takes all rows.
        blurred: whether its images of prompts that ask for the concept are shown blurred, since they may
            disturb.
        manifests: manifest.csv of each shard; ``file`` is relative to the manifest's folder.
        verdicts: verdicts.csv on these images.
    """

    concept: str
    method: str
    run_seed: int
    window: int | None
    blurred: bool
    manifests: tuple[Path, ...]
    verdicts: Path


def image_sources(runs: Sequence[Sequence[Any]], files: Any) -> dict[str, list[ImageSource]]:
    """Concept → the images of each of its runs.

    Args:
        runs: concept, method, fine-tuning seed, window length and whether it is blurred, run by run.
        files: a rule's input: ``manifests`` run by run, the shards of each together, and ``verdicts``, one
            file a run.
    """
    shards = len(files.manifests) // len(runs)
    found: dict[str, list[ImageSource]] = {}
    for number, run in enumerate(runs):
        manifests = tuple(map(Path, files.manifests[number * shards : (number + 1) * shards]))
        concept, method, seed, window, blurred = run
        verdicts = Path(files.verdicts[number])
        source = ImageSource(concept, method, seed, window, blurred, manifests, verdicts)
        found.setdefault(source.concept, []).append(source)
    return found


def image_table(sources: Sequence[ImageSource]) -> pd.DataFrame:
    """Join manifests and verdicts of several runs.

    Returns:
        One row an image, with IMAGE_COLUMNS. ``object`` is empty where the prompt names none; ``shown``
        (bool) says whether the judge finds the concept (false where no judge looks: general images),
        ``score`` how sure it is. Ordered by method, then as in the manifests. Of several images of one
        prompt, the first.

    Raises:
        InputError: a file lacks a column, or an image has no verdict or several.
    """
    order = order_methods(source.method for source in sources)
    ordered = sorted(sources, key=lambda source: order.index(source.method))
    return pd.concat([_one_run(source) for source in ordered], ignore_index=True)


def _one_run(source: ImageSource) -> pd.DataFrame:
    parts = []
    for manifest in source.manifests:
        part = read_csv(manifest, MANIFEST_COLUMNS)
        parts.append(part.assign(path=[str(Path(manifest).parent / file) for file in part["file"]]))
    images = _shown_rows(pd.concat(parts), source.window)
    verdicts = _shown_rows(read_csv(source.verdicts, VERDICT_COLUMNS), source.window)
    key = ["prompt_id", "window"]
    try:
        joined = images.merge(verdicts[[*VERDICT_COLUMNS]], on=key, how="left", validate="one_to_one")
    except pd.errors.MergeError:
        raise InputError(
            f"{source.verdicts}: found several rows for one {'/'.join(key)}, wanted one"
        ) from None
    judged = joined["prompt_set"].map(is_judged).astype(bool)
    for prompt_id in joined.loc[joined["shown"].isna() & judged, "prompt_id"]:
        raise InputError(f"{source.verdicts}: found no verdict on {prompt_id}, wanted one for each image")
    joined["shown"] = joined["shown"].eq(True) & judged
    disturbing = source.blurred & joined["prompt_set"].map(asks_for_concept).astype(bool)
    return joined.assign(method=source.method, blurred=disturbing)[list(IMAGE_COLUMNS)]


def _shown_rows(rows: pd.DataFrame, window: int | None) -> pd.DataFrame:
    """The rows of first samples, of one window where one is wanted."""
    rows = rows[prompt_of(rows["prompt_id"]) == rows["prompt_id"]]
    if window is not None:
        rows = rows[rows["window"] == window]
    return rows.reset_index(drop=True)


def blur(image: Image.Image) -> Image.Image:
    """The image blurred by a tenth of its width: colours are left, shapes are not."""
    return image.filter(ImageFilter.GaussianBlur(image.width / 10))


def kept_set(images: pd.DataFrame) -> str:
    """The prompt set that erasure should leave alone: retention, or general where there is none."""
    return "retention" if (images["prompt_set"] == "retention").any() else "general"


def wrong_object(images: pd.DataFrame) -> pd.Series:
    """Whether the image shows another object than its prompt names.

    False where the prompt or the judge names none, and for prompts that ask for the concept: there, another
    object can be what is wanted.
    """
    return (
        images["object"].notna()
        & images["top1_object"].notna()
        & ~images["prompt_set"].map(asks_for_concept).astype(bool)
        & (images["object"] != images["top1_object"])
    )


def choose_prompts(images: pd.DataFrame, prompt_set: str, count: int) -> list[str]:
    """The first ``count`` prompts of a set whose original image is as asked; others only to fill the number.

    Target prompts: the judge finds the concept in the original image. Other sets: the original image has the
    right object. The images of other methods play no part, so nothing is picked for its outcome.

    Raises:
        InputError: there are no such prompts.
    """
    original = images[(images["method"] == ORIGINAL) & (images["prompt_set"] == prompt_set)]
    as_asked = original["shown"] if prompt_set == "target" else ~wrong_object(original)
    if original.empty:
        raise InputError(f"verdicts: found no {prompt_set} prompt of the original, wanted one or more")
    ordered = pd.concat([original[as_asked], original[~as_asked]])
    return ordered["prompt_id"].drop_duplicates().head(count).tolist()
