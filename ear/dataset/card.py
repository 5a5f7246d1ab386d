"""The datasheet of a data set, in the hub's form: YAML in front, then Markdown. Its numbers are counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ear.dataset.tables import formula_cells
from ear.figures.style import capital, concept_style
from ear.prompts.checks import ASPECTS
from ear.prompts.coverage import evenness
from ear.templates import load_template

TEMPLATE = Path(__file__).with_name("dataset_card.md.j2")
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
LARGEST = "n>1M"


@dataclass(frozen=True)
class Subject:
    """What the data set is about.

    Attributes:
        experiment: that it was made in.
        concept: its name there.
        kind: object, style, attribute or unsafe.
        words: how prompts name it.
        also_named: further words that name it.
        licence: of the texts: an identifier of the hub's, or "other".
    """

    experiment: str
    concept: str
    kind: str
    words: str
    also_named: tuple[str, ...]
    licence: str


@dataclass(frozen=True)
class Making:
    """How it was made.

    Attributes:
        sources: source → what the experiment says of it (kind, model, template …).
        judge: what the experiment says of the judge of the visual filter.
        drop: whether pairs that fail the visual filter are taken out.
        backbone: the model that drew the images.
        dtype: of its weights.
        guidance: scale of classifier-free guidance.
        temperature: softmax temperature.
        seed: of the experiment.
    """

    sources: Mapping[str, Mapping[str, Any]]
    judge: Mapping[str, Any]
    drop: bool
    backbone: str
    dtype: str
    guidance: float
    temperature: float
    seed: int


def dataset_card(
    subject: Subject,
    making: Making,
    pairs: pd.DataFrame,
    held_out: pd.DataFrame,
    rejected: pd.DataFrame,
    images: bool,
) -> str:
    """The text of the card. The same input gives the same text.

    Args:
        subject: what the data set is about.
        making: how it was made.
        pairs: data/train.csv.
        held_out: data/test.csv.
        rejected: rejected.csv.
        images: whether the images are part of it.
    """
    return load_template(TEMPLATE, {"told": _told}, keep_trailing_newline=True).render(
        front_matter=yaml.safe_dump(
            _front_matter(subject, pairs, rejected), sort_keys=False, allow_unicode=True
        ),
        title=capital(concept_style(subject.concept).label),
        subject=subject,
        making=making,
        pairs=pairs,
        sets=held_out["prompt_set"].value_counts(sort=False).to_dict(),
        sources=_counts(pairs, rejected),
        reasons=rejected.groupby(["stage", "reason"], sort=False)
        .size()
        .sort_values(ascending=False)
        .to_dict(),
        aspects=_aspects(pairs),
        failed=int(pairs["reason"].notna().sum()),
        formulas=sum(map(formula_cells, (pairs, held_out, rejected))),
        images=images,
        example=pairs.iloc[0],
    )


def _front_matter(subject: Subject, pairs: pd.DataFrame, rejected: pd.DataFrame) -> dict[str, Any]:
    """The hub's keys. All configs are CSV: the hub reads the configs of a data set by one builder.

    A table without rows has no config: ``load_dataset`` refuses a split without any.
    """
    configs = [("pairs", "train", "data/train.csv"), ("evaluation", "test", "data/test.csv")]
    if len(rejected):
        configs.append(("rejected", "rejected", "rejected.csv"))
    return {
        "pretty_name": f"Prompt pairs for erasing {concept_style(subject.concept).label}",
        "license": subject.licence,
        "language": ["en"],
        "task_categories": ["text-to-image"],
        "size_categories": [next((name for most, name in SIZES if len(pairs) < most), LARGEST)],
        "tags": ["concept-erasure", "machine-unlearning", "prompt-pairs", *_not_for_all(subject)],
        "configs": [
            {"config_name": name, "data_files": [{"split": split, "path": path}]}
            | ({"default": True} if number == 0 else {})
            for number, (name, split, path) in enumerate(configs)
        ],
    }


def _not_for_all(subject: Subject) -> list[str]:
    return ["not-for-all-audiences"] if subject.kind == "unsafe" else []


def _counts(pairs: pd.DataFrame, rejected: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Source → its pairs, and those of it that were rejected."""
    names = dict.fromkeys([*pairs["source"], *rejected["source"].dropna()])
    return {
        name: (int((pairs["source"] == name).sum()), int((rejected["source"] == name).sum()))
        for name in names
    }


def _aspects(pairs: pd.DataFrame) -> dict[str, tuple[int, int, float]]:
    """Aspect → pairs that tell it, different values, evenness of their distribution."""
    counts = {aspect: pairs[aspect].value_counts() for aspect in ASPECTS}
    return {
        aspect: (int(count.sum()), len(count), evenness(count.tolist()))
        for aspect, count in counts.items()
        if len(count)
    }


def _told(facts: Mapping[str, Any]) -> str:
    """Facts on one line of a Markdown table."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None and value != "")
    return told.replace("|", "\\|").replace("\n", " ")
