"""The report page: results, figures, gallery and provenance in one HTML file."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from docutils.core import publish_parts  # type: ignore[import-untyped]
from markupsafe import Markup
from PIL import Image

from ear.evaluation.cautions import cautions, measures_of_table
from ear.evaluation.columns import DEVIATIONS_CSV, METRICS_CSV, SCORE_CARD_CSV
from ear.evaluation.protocols import Axis
from ear.evaluation.score_card import (
    COST,
    Costs,
    card_rows,
    columns_of,
    cost_texts,
    fewer_mark,
    on_front,
    short,
)
from ear.report.before_after import before_after
from ear.report.figures.card import cell_colour
from ear.report.figures.images import ImageSource
from ear.report.gallery import figure_uri, make_gallery, script_json
from ear.report.style import DPI, concept_title, method_style, order_concepts, order_methods
from ear.workflow.files import atomic_path, load_template
from ear.workflow.provenance import environment, read_records, trace
from ear.workflow.seeding import ORIGINAL

TEMPLATE = Path(__file__).with_name("page.html.j2")
CAPTION = re.compile(r"<p><strong>(.+?)\.?</strong>\s*(.*)", re.DOTALL)
PAGE_PIXELS_PER_INCH = 130  # 8 pt text of a figure is then about as large as the page's small print
NAMED_SOURCES = 3  # files named in a line of provenance; of more, their number
HEADLINE = ("erasure", "worst", "retention")
"""Axes of the line that each concept has beside the trade-off."""


def render_report(
    output: Path,
    side_files: Path,
    title: str,
    method: str,
    sample_rows: int,
    metrics: Path,
    score_card: Path,
    costs: Costs,
    figures: Sequence[tuple[str, Path, Path, str]],
    galleries: Mapping[str, Sequence[ImageSource]],
    provenance: Mapping[str, str | Mapping[str, object]],
    deviations: Path | None = None,
    warning: str = "",
) -> None:
    """Write the report: one HTML file that asks nothing of the network.

    Args:
        output: the page, written atomically. The same input gives the same bytes.
        side_files: a folder "report" beside the page, written whole before it: unblurred pictures.
        title: heading of the page.
        method: the one that is shown beside the original.
        sample_rows: target prompts a concept for which the images of all methods stand side by side.
        metrics: tables/metrics.csv.
        score_card: tables/score-card.csv.
        costs: of erasing, by concept and method.
        figures: in the order of the page; its section, PNG file, caption in reStructuredText (as Snakemake's
            own report shows), and the concept that it is of, "" where it is of all. Figures of one caption
            stand next to each other.
        galleries: concept → the images of each run.
        provenance: heading → a text (shown as it is, for example the config as YAML) or names and values.
        deviations: tables/deviations.csv, or None where nothing is compared with published values.
        warning: what a reader has to know before anything else.

    Raises:
        InputError: a file is missing, unreadable or does not fit the others.
    """
    card = SCORE_CARD_CSV.read(score_card)
    columns, lines = results_table(card, costs)
    gallery = make_gallery(galleries)
    page = load_template(TEMPLATE, {"script_json": _script_json}, autoescape=True).render(
        title=title,
        warning=warning,
        before_after=[
            before_after(concept, galleries[concept], method, sample_rows)
            for concept in order_concepts(galleries)
        ],
        headline=headline(columns, lines, method),
        columns=columns,
        cost=COST,
        groups=[list(group) for _, group in groupby(lines, key=lambda line: line["concept"])],
        cautions=_cautions(METRICS_CSV.read(metrics)),
        deviations=[] if deviations is None else _published_lines(DEVIATIONS_CSV.read(deviations)),
        sections=_sections(figures),
        gallery=gallery,
        css=Markup(TEMPLATE.with_name("page.css").read_text(encoding="utf-8")),
        js=Markup(TEMPLATE.with_name("page.js").read_text(encoding="utf-8")),
        provenance=provenance,
    )
    with atomic_path(side_files) as folder:
        folder.mkdir()
        for name, text in gallery.files.items():
            (folder / name).write_text(text, encoding="utf-8")
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


def _script_json(value: object) -> Markup:
    return Markup(script_json(value))


def results_table(card: pd.DataFrame, costs: Costs) -> tuple[list[Axis], list[dict[str, Any]]]:
    """The score card: its columns, and lines (concept and method) with a cell for each, None for no number.

    Args:
        card: ``ear.evaluation.score_card.score_card``.
        costs: of erasing, texts of which are each line's ``cost``.
    """
    columns, lines = columns_of(card), []
    for concept in order_concepts(card["concept"]):
        rows = dict(card_rows(card, concept))
        for method in order_methods(rows):
            cells = [rows[method].get(column.name) for column in columns]
            line: dict[str, Any] = {"concept": concept, "concept_label": concept_title(concept)}
            line |= {"method": method, "method_label": method_style(method).label}
            seeds = next(int(row["seeds"]) for row in rows[method].values())
            shown = [row and _cell(row, column, card) for row, column in zip(cells, columns, strict=True)]
            line |= {"cells": shown, "seeds": seeds, "front": on_front(rows[method])}
            lines.append(line | {"cost": cost_texts(costs, concept, method)})
    return columns, lines


def _cell(row: Mapping[str, Any], column: Axis, card: pd.DataFrame) -> dict[str, Any]:
    form, ends = column.form, (float(row["ci_low"]), float(row["ci_high"]))
    interval = "" if any(map(math.isnan, ends)) else f"[{', '.join(map(form.text, ends))}]"
    text = form.text(row["value"]) + fewer_mark(row) + form.unit
    colour = cell_colour(column, row["value"], card.loc[card["axis"] == column.name, "value"])
    own = {name: row[name] for name in ("value", "n", "prompt_set")}
    return {"text": text, "interval": interval, "colour": colour, **own}


def headline(columns: Sequence[Axis], lines: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    """A line a concept: cells of the original and of a method, on the axes of HEADLINE that are there."""
    places = [place for place, column in enumerate(columns) if column.name in HEADLINE]
    rows: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["method"] in (ORIGINAL, method):
            rows.setdefault(line["concept_label"], {})[line["method"]] = [line["cells"][at] for at in places]
    empty: list[None] = [None] * len(places)
    return {
        "method": method_style(method).label,
        "columns": [columns[place] for place in places],
        "rows": {
            concept: list(zip(cells.get(ORIGINAL, empty), cells.get(method, empty), strict=True))
            for concept, cells in rows.items()
        },
    }


def _published_lines(deviations: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of tables/deviations.csv as texts, in their order."""
    return [
        {
            "concept": concept_title(str(row["concept"])),
            "method": method_style(str(row["method"])).label,
            "quantity": str(row["quantity"]).replace("_", " "),
            "published": ("< " if math.isnan(row["tolerance"]) else "") + short(row["published"]),
            "reproduced": short(row["reproduced"]),
            "interval": ""
            if math.isnan(row["ci_low"])
            else f"[{short(row['ci_low'])}, {short(row['ci_high'])}]",
            "verdict": str(row["verdict"]),
            "note": "" if pd.isna(row["note"]) else str(row["note"]),
        }
        for row in deviations.to_dict(orient="records")
    ]


def _cautions(metrics: pd.DataFrame) -> list[str]:
    """A line for each method whose judge cannot be taken at its word, concept by concept."""
    return [
        f"{concept_title(concept)}, {method_style(method).label}: {text}."
        for concept in order_concepts(metrics["concept"])
        if ORIGINAL in set(metrics.loc[metrics["concept"] == concept, "method"])
        for method, text in cautions(measures_of_table(metrics, concept)).items()
    ]


def _sections(figures: Sequence[tuple[str, Path, Path, str]]) -> dict[str, list[dict[str, object]]]:
    """Section → its figures as the template takes them; those of one caption are one, with several images.

    The first words of a caption, in bold, are its heading.
    """
    found: dict[str, list[dict[str, object]]] = {}
    for (section, caption), group in groupby(figures, key=lambda figure: (figure[0], figure[2])):
        title, text = CAPTION.fullmatch(render_caption(caption)).groups()  # type: ignore[union-attr]
        images = [_image(path, concept) for _, path, _, concept in group]
        shown: dict[str, object] = {"title": Markup(title), "caption": Markup("<p>" + text), "images": images}
        found.setdefault(section, []).append(shown)
    return found


def _image(path: Path, concept: str) -> dict[str, object]:
    with Image.open(path) as image:
        width, height = (round(pixels / DPI * PAGE_PIXELS_PER_INCH) for pixels in image.size)
    return {"uri": figure_uri(path), "width": width, "height": height, "label": concept_title(concept)}


def render_caption(caption: Path) -> str:
    """A caption of Snakemake's report (reStructuredText) as HTML."""
    settings = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    text = caption.read_text(encoding="utf-8")
    return str(publish_parts(text, writer="html5", settings_overrides=settings)["fragment"])


def collect_provenance(config: Mapping[str, Any], results: Sequence[str], logs: str | Path) -> dict[str, Any]:
    """All that is known of where results come from; what provenance.json holds.

    Args:
        config: the experiment's.
        results: paths of figures and tables.
        logs: folder of the jobs' logs and records.
    """
    records = read_records(logs)
    traced = trace(results, records)
    behind = sorted({name for entry in traced.values() for name in entry.get("jobs", ())})
    return {
        "experiment": config["experiment"],
        "seed": config["seed"],
        "seeds": config["seeds"],
        "config": dict(config),
        "report": environment(threads=1),
        "results": traced,
        "jobs": {name: records[name] for name in behind},
    }


def provenance_sections(facts: Mapping[str, Any]) -> dict[str, str | Mapping[str, object]]:
    """Heading → what the page shows of provenance.json: a text, or names and values."""
    jobs, own = facts["jobs"].values(), facts["report"]

    def of_jobs(key: str) -> str:
        return ", ".join(sorted({str(job.get(key)) for job in jobs})) or "unknown"

    return {
        "Run": {
            "experiment": facts["experiment"],
            "seed of drawing and training": facts["seed"],
            "seeds of fine-tuning": ", ".join(map(str, facts["seeds"])),
            "code": own["code"] or "not in a git repository",
            "packages": f"requirements.lock, sha256 {own['lock']}",
            "jobs": len(jobs),
            "code of the jobs": of_jobs("code"),
            "devices of the jobs": of_jobs("device"),
        },
        "Figures and tables": {
            Path(path).name: _made(entry, facts["jobs"]) for path, entry in facts["results"].items()
        },
        "Versions": own["versions"],
        "Config": yaml.safe_dump(facts["config"], sort_keys=False),
    }


def _made(entry: Mapping[str, Any], jobs: Mapping[str, Any]) -> str:
    if entry["job"] is None:
        return "made before jobs wrote records"
    sources = sorted({Path(path).name for path in entry["inputs"]})
    read = ", ".join(sources) if len(sources) <= NAMED_SOURCES else f"{len(entry['inputs'])} files"
    return f"{jobs[entry['job']]['rule']} of {read}; {len(entry['jobs'])} jobs; sha256 {entry['sha256']}"
