"""The model card of an erased model, in the hub's form: YAML in front, then Markdown.

Whatever it says of the model is read from the adapter's metadata and from the table of metrics.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ear.erasure.adapter import AdapterFacts, BackboneFacts, flat
from ear.erasure.presets import TOGETHER
from ear.figures.style import capital, concept_style, method_style
from ear.metrics.columns import METRICS_CSV
from ear.metrics.score_card import Measurement, measurements, not_measured
from ear.names import ALL_SEEDS, ORIGINAL
from ear.report.numbers import Cell, make_cell
from ear.templates import load_template

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
AUTHORS_FILE = "erased_attention.pt"
UNDERSTANDING = {
    "captions": "captions of held-out pictures",
    "questions": "answers, yes or no, to questions about held-out pictures",
}
"""Axis of image understanding → what it compares."""


@dataclass(frozen=True)
class Subject:
    """What was erased.

    Attributes:
        experiment: where.
        concept: its name there; other concepts may have been erased together with it.
        kind: of concept: object, style or attribute.
        words: how a prompt names it.
    """

    experiment: str
    concept: str
    kind: str
    words: str


@dataclass(frozen=True)
class Drawing:
    """How the sample code draws.

    Attributes:
        prompt: of the image; one that asks for the concept shows what became of it.
        guidance: scale of classifier-free guidance, more than 1.
        temperature: softmax temperature.
    """

    prompt: str
    guidance: float
    temperature: float


@dataclass(frozen=True)
class _Line:
    """A metric of the table: what, the original's cell and this model's, the cell over all seeds."""

    label: str
    original: Cell | None
    erased: Cell
    pooled: Cell | None


def model_card(
    facts: AdapterFacts,
    modules: Sequence[str],
    adapter_sha256: str,
    metrics: str | Path,
    image_tokens: int,
    subject: Subject,
    drawing: Drawing,
) -> str:
    """The text of the card. The same input gives the same text.

    Args:
        facts: the adapter's metadata.
        modules: names of the modules whose weights it replaces.
        adapter_sha256: of its file.
        metrics: tables/metrics.csv. Every axis that it has a number of is stated, what it lacks is named.
        image_tokens: tokens of an image.
        subject: what was erased.
        drawing: how the sample code draws.

    Raises:
        InputError: the table of metrics is missing or not one.
    """
    concepts = facts.concept.split(TOGETHER)
    table = METRICS_CSV.read(metrics)
    table = table[(table["concept"] == subject.concept) & table["value"].notna()]
    own = _own(table, facts)
    found = measurements(own, image_tokens)
    left = sorted((one for one in found if one.axis.of_concept), key=lambda one: -one.value)
    kept = [one for one in found if not one.axis.of_concept]
    return load_template(TEMPLATE, {"literal": _literal}, keep_trailing_newline=True).render(
        front_matter=yaml.safe_dump(_front_matter(facts.backbone), sort_keys=False, allow_unicode=True),
        concept=concept_style(subject.concept).label,
        others=[concept_style(name).label for name in concepts if name != subject.concept],
        title=capital(" and ".join(concept_style(name).label for name in concepts)),
        method=method_style(facts.method).label,
        facts=facts,
        layers=len({name.split(".")[1] for name in modules}),
        modules=modules,
        adapter_sha256=adapter_sha256,
        left=_lines(table, facts, left),
        kept=_lines(table, facts, kept),
        unmeasured=[axis.measures for axis in not_measured(own)],
        understanding=[
            what for axis, what in UNDERSTANDING.items() if axis in {one.axis.name for one in kept}
        ],
        several_seeds=_has_seeds(table, facts.method),
        settings=list(flat(facts.settings)),
        subject=subject,
        drawing=drawing,
        authors_file=AUTHORS_FILE,
    )


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # Python reads it too


def _front_matter(backbone: BackboneFacts) -> dict[str, Any]:
    """The hub's keys. No license: that of the base model holds. A base model is named if it is on the hub."""
    keys: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "any-to-any"}
    on_hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone.reference) is not None
    if backbone.revision is not None or (on_hub and not Path(backbone.reference).exists()):
        keys |= {"base_model": backbone.reference, "base_model_relation": "finetune"}
    return keys | {
        "tags": ["janus", "text-to-image", "concept-erasure", "machine-unlearning", "autoregressive"]
    }


def _rows(table: pd.DataFrame, method: str, seed: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["seed"].astype(str) == seed)]


def _own(table: pd.DataFrame, facts: AdapterFacts) -> pd.DataFrame:
    """The model's own rows; weights that were not trained here stand as seed 0."""
    return _rows(table, facts.method, str(facts.fine_tuning_seed or 0))


def _has_seeds(table: pd.DataFrame, method: str) -> bool:
    seeds = table.loc[table["method"] == method, "seed"].astype(str)
    return seeds[seeds != ALL_SEEDS].nunique() > 1


def _lines(table: pd.DataFrame, facts: AdapterFacts, found: Sequence[Measurement]) -> list[_Line]:
    """Lines of the card's tables, in the order of what was found."""
    lines = []
    for one in found:
        worst = f", the worst of {one.measured}" if one.measured > 1 else ""
        label = f"{capital(one.axis.measures)} {one.axis.form.arrow} (`{one.prompt_set}`{worst})"
        lines.append(_line(table, facts, label, one.row))
    return lines


def _line(table: pd.DataFrame, facts: AdapterFacts, label: str, row: pd.Series) -> _Line:
    def cell(method: str) -> Cell | None:
        pooled = _rows(table, method, ALL_SEEDS)
        found = pooled[(pooled["prompt_set"] == row["prompt_set"]) & (pooled["metric"] == row["metric"])]
        return None if found.empty else make_cell(found.iloc[0], str(row["metric"]))

    pooled = cell(facts.method) if _has_seeds(table, facts.method) else None
    return _Line(label, cell(ORIGINAL), make_cell(row, str(row["metric"])), pooled)
