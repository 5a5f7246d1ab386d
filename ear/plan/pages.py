"""Cost figures in the documentation: made from the plan, and written between two markers of a page."""

import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from ear.assets.catalogue import load_catalogue, shapes_of, size_in_words
from ear.config import parse_config
from ear.plan.estimate import Plan, make_plan

PAGES = ("README.md", "docs/paper.md")
EXPERIMENTS = ("janus-pro-1b-quick", "janus-pro-1b", "janus-pro-7b")
FEW = 5000
"""Captions of COCO-30k, in the cheaper variant that the pages mention."""
BLOCK = re.compile(r"(<!-- plan: (\w+) -->\n).*?(<!-- end of plan -->)", re.DOTALL)


def filled(page: str, root: str | Path) -> str:
    """A page with its blocks written anew.

    Args:
        page: Markdown, with blocks between ``<!-- plan: NAME -->`` and ``<!-- end of plan -->``.
        root: folder of the repository.
    """
    blocks = {"hours": _hours, "stages": _stages, "cards": _cards}
    return BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]](Path(root))}\n{match[3]}", page)


def _plan(root: Path, name: str, **utility: Any) -> Plan:
    """The plan as on a machine that has nothing yet: no benchmarks, no assets."""
    catalogue = load_catalogue(root / "assets.yaml")
    raw = deepcopy(yaml.safe_load((root / f"configs/{name}.yaml").read_text(encoding="utf-8")))
    raw["utility"] |= utility
    return make_plan(parse_config(raw, name, shapes_of(catalogue)), catalogue, benchmarks="none")


def _total(values: Iterable[float | None]) -> float:
    return sum(value or 0.0 for value in values)


def _hours(root: Path) -> str:
    paper, cheaper = _plan(root, "janus-pro-7b"), _plan(root, "janus-pro-7b", general=FEW)
    ours, few = (_total(stage.seconds for stage in plan.stages) / 3600 for plan in (paper, cheaper))
    release = _total(stage.release for stage in paper.stages) / 3600
    return (
        f"For one H100 `plan` estimates {ours:.0f} hours, or {few:.0f} with 5 000 of COCO's 30 000 captions; "
        f"the release's one-at-a-time loop would take {release:.0f} for the same work."
    )


def _stages(root: Path) -> str:
    plan = _plan(root, "janus-pro-7b")
    rows = [
        [
            stage.title,
            str(stage.jobs),
            ", ".join(f"{count:,} {unit}" for unit, count in stage.units.items()),
            f"{(stage.seconds or 0) / 3600:.2f}",
            f"{stage.release / 3600:.2f}" if stage.release else "–",
        ]
        for stage in plan.stages
    ]
    ours, release = (_total(getattr(stage, key) for stage in plan.stages) for key in ("seconds", "release"))
    jobs = sum(stage.jobs for stage in plan.stages)
    rows.append(["**all**", str(jobs), "", f"**{ours / 3600:.2f}**", f"**{release / 3600:.2f}**"])
    header = ["stage", "jobs", "work", "H100 hours", "the release's loop, hours"]
    return _table(header, rows, left=3)


def _cards(root: Path) -> str:
    rows = []
    for name in EXPERIMENTS:
        plan = _plan(root, name)
        fetched = sum(one.asset.size for one in plan.assets if one.asset.source.kind in ("hub", "url"))
        made = _total(one.bytes for one in plan.files if not one.passing)
        times = [_time(one.seconds, one.batch_size) for one in plan.cards]
        rows.append([f"`{name}`", *times, *(size_in_words(round(size)) for size in (fetched, made))])
    cards = [f"{one.card.name}, {one.card.memory} GB" for one in plan.cards]
    header = ["experiment", *(card.replace(" of 40 GB", "") for card in cards), "to fetch", "results"]
    return _table(header, rows, left=1)


def _time(seconds: float | None, batch: int) -> str:
    if seconds is None:
        return "too large"
    said = f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
    return f"{said} ({batch} images at once)"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
