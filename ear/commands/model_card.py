"""The model card of an erased model, in the hub's form.

Whatever it says of the model is read from the metadata of its weights and from the table of metrics.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from huggingface_hub import ModelCard, ModelCardData

from ear.erasure.edited_weights import AdapterFacts, BackboneFacts, flat
from ear.erasure.variants import TOGETHER
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.protocols import AXES, SHOWN, axis_of
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
AUTHORS_FILE = "erased_attention.pt"


@dataclass(frozen=True)
class Subject:
    """What was erased, and how the card's sample code makes an image.

    Attributes:
        experiment: in which it was erased.
        concept: its name there; other concepts may have been erased together with it.
        kind: of concept: object, style, attribute or unsafe.
        words: how a prompt names it.
        prompt: of the sample image; one that asks for the concept shows what became of it.
        guidance: scale of classifier-free guidance, more than 1.
        temperature: softmax temperature.
    """

    experiment: str
    concept: str
    kind: str
    words: str
    prompt: str
    guidance: float
    temperature: float


def model_card(
    facts: AdapterFacts, modules: Sequence[str], weights_sha256: str, metrics: str | Path, subject: Subject
) -> str:
    """The text of the card. The same input gives the same text.

    Args:
        facts: the metadata of the edited weights.
        modules: names of the modules whose weights they replace.
        weights_sha256: of their file.
        metrics: tables/metrics.csv. Every number of this model is stated; axes without one are named.
        subject: what was erased.

    Raises:
        InputError: the table of metrics is missing or not one.
    """
    table = METRICS_CSV.read(metrics).astype({"seed": str})
    table = table[(table["concept"] == subject.concept) & table["value"].notna()]
    own = _rows(
        table, facts.method, str(facts.fine_tuning_seed or 0)
    )  # not trained here: it stands as seed 0
    known = {axis_of(*row) for row in zip(own["prompt_set"], own["metric"], strict=True)}
    card = ModelCard.from_template(
        _data(facts.backbone),
        template_path=str(TEMPLATE),
        **asdict(subject),
        facts=facts,
        title=" and ".join(facts.concept.split(TOGETHER)),
        others=[name for name in facts.concept.split(TOGETHER) if name != subject.concept],
        modules=len(modules),
        layers=len({name.split(".")[1] for name in modules}),
        weights_sha256=weights_sha256,
        lines=list(_lines(table, own, facts.method)),
        unmeasured=[axis.measures for axis in AXES if axis not in known and axis.score],
        settings=list(flat(facts.settings)),
        authors_file=AUTHORS_FILE,
    )
    return str(card)


def _data(backbone: BackboneFacts) -> ModelCardData:
    """No license: that of the base model holds. A base model is named if it is on the hub."""
    shape = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone.reference)
    on_hub = backbone.revision is not None or (shape is not None and not Path(backbone.reference).exists())
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="any-to-any",
        base_model=backbone.reference if on_hub else None,
        base_model_relation="finetune" if on_hub else None,
        tags=["janus", "text-to-image", "concept-erasure", "machine-unlearning"],
    )


def _rows(table: pd.DataFrame, method: str, seed: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["seed"] == seed)]


def _lines(table: pd.DataFrame, own: pd.DataFrame, method: str) -> Iterator[tuple[str, ...]]:
    """(what, the original, this model, all seeds, n): what is left of the concept first, the most above."""
    own = own.assign(kept=own["metric"] != SHOWN, least=-own["value"])
    own["least"] = own["least"].where(~own["kept"], 0)
    pooled = {name: _rows(table, name, ALL_SEEDS) for name in (ORIGINAL, method)}
    for _, row in own.sort_values(["kept", "least"], kind="stable").iterrows():
        same = {
            name: rows[(rows["prompt_set"] == row["prompt_set"]) & (rows["metric"] == row["metric"])]
            for name, rows in pooled.items()
        }
        before, seeds = (_cell(rows.iloc[0]) if len(rows) else "–" for rows in same.values())
        axis = axis_of(row["prompt_set"], row["metric"])
        what = f"`{row['metric']}` of `{row['prompt_set']}` {axis.form.arrow if axis else ''}"
        yield what.strip(), before, _cell(row), seeds, str(int(row["n"]))


def _cell(row: pd.Series) -> str:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.3g}, {row['ci_high']:.3g}]"
    return f"{row['value']:.3g}{interval}"
