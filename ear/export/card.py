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
from ear.figures.rows import METRICS_COLUMNS
from ear.figures.style import capital, concept_style, method_style
from ear.files import read_csv
from ear.metrics.table import ALL_SEEDS
from ear.names import ORIGINAL
from ear.report.numbers import MAIN_COLUMNS, METRICS, Cell, make_cell
from ear.templates import load_template

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
AUTHORS_FILE = "erased_attention.pt"
SECOND = "second_concept_rate"
"""No number is missed where a concept has one judge."""
SETS = {"captions": "captions of held-out pictures"}


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
    subject: Subject,
    drawing: Drawing,
) -> str:
    """The text of the card. The same input gives the same text.

    Args:
        facts: the adapter's metadata.
        modules: names of the modules whose weights it replaces.
        adapter_sha256: of its file.
        metrics: tables/metrics.csv. What it lacks is named as not measured.
        subject: what was erased.
        drawing: how the sample code draws.

    Raises:
        InputError: the table of metrics is missing or not one.
    """
    concepts = facts.concept.split(TOGETHER)
    lines, unmeasured = _measured(read_csv(metrics, METRICS_COLUMNS), subject.concept, facts)
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
        lines=lines,
        unmeasured=unmeasured,
        several_seeds=any(line.pooled for line in lines),
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


def _measured(table: pd.DataFrame, concept: str, facts: AdapterFacts) -> tuple[list[_Line], list[str]]:
    """Lines of the card's table, and the names of the metrics that the tidy table has no number for."""
    rows = table[(table["concept"] == concept) & table["value"].notna()]
    rows = rows.assign(seed=rows["seed"].astype(str))
    seeds = set(rows.loc[rows["method"] == facts.method, "seed"]) - {ALL_SEEDS}
    lines, unmeasured = [], []
    for metric, prompt_set in MAIN_COLUMNS:
        of_metric = rows[(rows["metric"] == metric) & (rows["prompt_set"] == prompt_set)]
        form = METRICS[metric]
        of_what = SETS.get(prompt_set, f"{prompt_set} prompts")
        erased = _cell(of_metric, facts.method, str(facts.fine_tuning_seed))
        if erased is None and metric == SECOND:
            continue
        if erased is None:
            unmeasured.append(f"{form.label} ({of_what})")
            continue
        pooled = _cell(of_metric, facts.method, ALL_SEEDS) if len(seeds) > 1 else None
        label = f"{form.label} {form.better} ({of_what})"
        lines.append(_Line(label, _cell(of_metric, ORIGINAL, ALL_SEEDS), erased, pooled))
    return lines, unmeasured


def _cell(rows: pd.DataFrame, method: str, seed: str) -> Cell | None:
    found = rows[(rows["method"] == method) & (rows["seed"] == seed)]
    return None if found.empty else make_cell(found.iloc[0], str(found.iloc[0]["metric"]))
