"""The model card of an erased model, in the hub's form.

Whatever it says of the model is read from the metadata of its weights and from the table of metrics.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCard, ModelCardData

from ear.erasure.edited_weights import BackboneFacts, EditedFacts, Weight, flat
from ear.erasure.lora import LowRank
from ear.erasure.variants import JOINT
from ear.evaluation.columns import METRICS_CSV
from ear.evaluation.protocols import AXES, SHOWN, Axis, axis_of
from ear.workflow.seeding import ALL_SEEDS, ORIGINAL

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
AUTHORS_FILE, ADAPTER = "erased_attention.pt", "adapter"


def model_card(
    facts: EditedFacts,
    modules: Sequence[str],
    weights_sha256: str,
    metrics: str | Path,
    subject: Mapping[str, Any],
) -> str:
    """The text of the card. The same input gives the same text.

    Args:
        facts: the metadata of the edited weights.
        modules: names of the modules whose weights they replace.
        weights_sha256: of their file.
        metrics: tables/metrics.csv. Every number of this model is stated; axes without one are named.
        subject: experiment, concept, kind and words of what was erased; family of the model; prompt, guidance
            and temperature of the sample image.

    Raises:
        InputError: the table of metrics is missing or not one.
    """
    table = METRICS_CSV.read(metrics).astype({"seed": str})
    table = table[(table["concept"] == subject["concept"]) & table["value"].notna()]
    seed = str(facts.fine_tuning_seed or 0)  # not trained here: it stands as seed 0
    own = table[(table["method"] == facts.method) & (table["seed"] == seed)]
    known = {axis_of(*row) for row in zip(own["prompt_set"], own["metric"], strict=True)}
    return _filled(
        facts.backbone,
        modules,
        subject,
        known,
        facts=facts,
        title=" and ".join(facts.concept.split(JOINT)),
        others=[name for name in facts.concept.split(JOINT) if name != subject["concept"]],
        weights_sha256=weights_sha256,
        lines=list(_lines(table, own, facts.method)),
        settings=list(flat(facts.settings)),
        lora="lora" in facts.settings,
    )


def short_card(backbone: BackboneFacts, weights: Mapping[str, Weight], subject: Mapping[str, Any]) -> str:
    """The text of a card that states no numbers and no settings.

    Args:
        backbone: the frozen model.
        weights: what was replaced or changed, by module name.
        subject: words of what was erased; family of the model; prompt, guidance and temperature of the sample
            image.
    """
    lora = any(isinstance(weight, LowRank) for weight in weights.values())
    return _filled(backbone, list(weights), subject, known=(), title=subject["words"], lora=lora)


def _filled(
    backbone: BackboneFacts,
    modules: Sequence[str],
    subject: Mapping[str, Any],
    known: Container[Axis | None],
    **more: Any,
) -> str:
    card = ModelCard.from_template(
        _data(backbone, subject["family"]),
        template_path=str(TEMPLATE),
        **subject,
        backbone=backbone,
        modules=len(modules),
        layers=len({name.split(".")[1] for name in modules}),
        unmeasured=[axis.measures for axis in AXES if axis not in known and axis.score],
        authors_file=AUTHORS_FILE,
        adapter=ADAPTER,
        **more,
    )
    return str(card)


def _data(backbone: BackboneFacts, family: str) -> ModelCardData:
    """No license: that of the base model holds. A base model is named if it is on the hub."""
    shape = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone.reference)
    on_hub = backbone.revision is not None or (shape is not None and not Path(backbone.reference).exists())
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="any-to-any",
        base_model=backbone.reference if on_hub else None,
        base_model_relation="finetune" if on_hub else None,
        tags=[family, "text-to-image", "concept-erasure", "machine-unlearning"],
    )


def _lines(table: pd.DataFrame, own: pd.DataFrame, method: str) -> Iterator[tuple[str, ...]]:
    """(what, the original, this model, all seeds, n): what is left of the concept first, the most above."""
    keys = zip(*(table[name] for name in ("method", "seed", "prompt_set", "metric")), strict=True)
    cells = dict(zip(keys, map(_cell, table.to_dict("records")), strict=True))
    rates, others = own[own["metric"] == SHOWN], own[own["metric"] != SHOWN]
    rates = rates.sort_values("value", ascending=False, kind="stable")
    for row in [*rates.to_dict("records"), *others.to_dict("records")]:
        of = (row["prompt_set"], row["metric"])
        before, seeds = (cells.get((name, ALL_SEEDS, *of), "–") for name in (ORIGINAL, method))
        axis = axis_of(*of)
        what = f"`{row['metric']}` of `{row['prompt_set']}` {axis.form.arrow if axis else ''}"
        yield what.strip(), before, _cell(row), seeds, str(int(row["n"]))


def _cell(row: Mapping[Any, Any]) -> str:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.3g}, {row['ci_high']:.3g}]"
    return f"{row['value']:.3g}{interval}"
