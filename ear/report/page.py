"""Renders the report page from tables, figures, images and provenance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from docutils.core import publish_parts  # type: ignore[import-untyped]
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ear.errors import InputError
from ear.evaluation.cautions import cautions, measures_of_table
from ear.evaluation.columns import DEVIATIONS_CSV, METRICS_CSV, SCORE_CARD_CSV, WINDOW_LENGTH_CSV
from ear.report.figures.images import ImageSource
from ear.report.gallery import figure_uri, make_gallery, script_json
from ear.report.numbers import Line, published_lines, results_table, summary, window_table
from ear.report.style import DPI, concept_label, concept_title, method_style, order_concepts
from ear.workflow.files import atomic_path, load_template
from ear.workflow.provenance import environment, read_records, trace
from ear.workflow.seeding import ORIGINAL

TEMPLATE = Path(__file__).with_name("page.html.j2")
CAPTION = re.compile(r"<p><strong>(.+?)\.?</strong>\s*(.*)", re.DOTALL)
PAGE_PIXELS_PER_INCH = 130  # 8 pt text of a figure is then about as large as the page's small print


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the page.

    Attributes:
        path: PNG file.
        caption: reStructuredText file, the same that Snakemake's own report shows.
        concept: what its wildcard ``concept`` stands for there.
    """

    path: Path
    caption: Path
    concept: str = ""


def render_report(
    output: Path,
    side_files: Path,
    title: str,
    metrics: Path,
    score_card: Path,
    window_length: Path,
    figures: Sequence[ReportFigure],
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
        metrics: tables/metrics.csv.
        score_card: tables/score-card.csv.
        window_length: tables/window-length.csv.
        figures: in the order of the page.
        galleries: concept → the images of each run.
        provenance: heading → a text (shown as it is, for example the config as YAML) or names and values.
        deviations: tables/deviations.csv, or None where nothing is compared with published values.
        warning: what a reader has to know before anything else.

    Raises:
        InputError: a file is missing, unreadable or does not fit the others.
    """
    columns, lines = results_table(SCORE_CARD_CSV.read(score_card))
    windows, window_lines = window_table(WINDOW_LENGTH_CSV.read(window_length))
    gallery = make_gallery(galleries)
    page = load_template(TEMPLATE, {"script_json": _script_json}, autoescape=True).render(
        title=title,
        warning=warning,
        summary=summary(columns, lines),
        columns=columns,
        lines=_by_concept(lines),
        cautions=_cautions(METRICS_CSV.read(metrics)),
        windows=windows,
        window_lines=_by_concept(window_lines),
        deviations=[] if deviations is None else published_lines(DEVIATIONS_CSV.read(deviations)),
        figures=[_shown(figure) for figure in figures],
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


def _cautions(metrics: pd.DataFrame) -> list[str]:
    """A line for each method whose judge cannot be taken at its word, concept by concept."""
    return [
        f"{concept_title(concept)}, {method_style(method).label}: {text}."
        for concept in order_concepts(metrics["concept"])
        if ORIGINAL in set(metrics.loc[metrics["concept"] == concept, "method"])
        for method, text in cautions(measures_of_table(metrics, concept)).items()
    ]


def _by_concept(lines: Sequence[Line]) -> list[list[Line]]:
    return [list(group) for _, group in groupby(lines, key=lambda line: line.concept)]


def _shown(figure: ReportFigure) -> dict[str, object]:
    """A figure as the template takes it; the first words of its caption, in bold, are its heading."""
    with Image.open(figure.path) as image:
        width, height = (round(pixels / DPI * PAGE_PIXELS_PER_INCH) for pixels in image.size)
    title, text = CAPTION.fullmatch(render_caption(figure.caption, figure.concept)).groups()  # type: ignore[union-attr]
    size = {"uri": figure_uri(figure.path), "width": width, "height": height}
    return {"title": Markup(title), "caption": Markup("<p>" + text), **size}


def render_caption(caption: Path, concept: str) -> str:
    """A caption of Snakemake's report (Jinja2 in reStructuredText) as HTML.

    Raises:
        InputError: the file is missing.
    """
    try:
        source = Path(caption).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{caption}: not found, wanted a caption in reStructuredText") from None
    template = Environment(undefined=StrictUndefined).from_string(source)
    text = template.render(snakemake={"wildcards": {"concept": concept}})
    settings = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    return str(publish_parts(text, writer="html5", settings_overrides=settings)["fragment"])


NAMED_SOURCES = 3  # files named in a line; of more, their number
OF_ALL = {"samples": "overview"}
"""Figure → the caption of its grid of all concepts."""


def page_figures(paths: Sequence[str], captions: Sequence[str]) -> list[ReportFigure]:
    """Figures of the page, in the order of the captions.

    Args:
        paths: PNG files; one of a concept is named "<figure>-<concept>.png".
        captions: reStructuredText files, named as the figures.
    """
    texts = {Path(path).stem: Path(path) for path in captions}
    found = []
    for path in map(Path, paths):
        name = max((name for name in texts if path.stem.startswith(name)), key=len)
        concept = path.stem.removeprefix(name).removeprefix("-")
        caption = texts[name if concept else OF_ALL.get(name, name)]
        found.append(ReportFigure(path, caption, concept_label(concept)))
    return sorted(found, key=lambda figure: list(texts.values()).index(figure.caption))


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
