"""Renders the report page from tables, figures, images and provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from docutils.core import publish_parts  # type: ignore[import-untyped]
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ear.errors import InputError
from ear.figures.images import ImageSource
from ear.figures.rows import METRICS_COLUMNS, WINDOW_COLUMNS
from ear.figures.style import DPI, method_style, order_methods
from ear.files import atomic_path, read_csv
from ear.report.gallery import GALLERY_SETS, figure_uri, make_galleries
from ear.report.numbers import Line, main_table, summary, window_table
from ear.report.published import DEVIATION_COLUMNS, published_lines
from ear.templates import load_template

TEMPLATE = Path(__file__).with_name("page.html.j2")
PAGE_PIXELS_PER_INCH = 130  # 8 pt text of a figure is then about as large as the page's small print


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the page.

    Attributes:
        path: PNG file.
        title: its heading.
        caption: reStructuredText file, the same that Snakemake's own report shows.
        wildcards: values of ``snakemake.wildcards`` in the caption.
    """

    path: Path
    title: str
    caption: Path
    wildcards: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shown:
    title: str
    uri: str
    width: int
    height: int
    caption: Markup


def render_report(
    output: Path,
    title: str,
    metrics: Path,
    window_length: Path | None,
    figures: Sequence[ReportFigure],
    galleries: Mapping[str, Sequence[ImageSource]],
    provenance: Mapping[str, str | Mapping[str, object]],
    deviations: Path | None = None,
    warning: str = "",
    gallery_prompts: int = 16,
) -> None:
    """Write the report: one HTML file that asks nothing of the network.

    Args:
        output: the page, written atomically. The same input gives the same bytes.
        title: heading of the page.
        metrics: tables/metrics.csv.
        window_length: tables/window-length.csv, or None where the experiment has none.
        figures: in the order of the page.
        galleries: concept → the images of each method, of one fine-tuning seed.
        provenance: heading → a text (shown as it is, for example the config as YAML) or names and values.
        deviations: tables/deviations.csv, or None where nothing is compared with published values.
        warning: what a reader has to know before anything else.
        gallery_prompts: most prompts of a set in the gallery of a concept.

    Raises:
        InputError: a file is missing, unreadable or does not fit the others.
    """
    columns, lines = main_table(read_csv(metrics, METRICS_COLUMNS))
    windows, window_lines = (
        ([], []) if window_length is None else window_table(read_csv(window_length, WINDOW_COLUMNS))
    )
    made = make_galleries(galleries, gallery_prompts)
    methods = {source.method for sources in galleries.values() for source in sources}
    sets = {comparison.prompt_set for gallery in made for comparison in gallery.comparisons}
    page = load_template(TEMPLATE, autoescape=True).render(
        title=title,
        warning=warning,
        summary=summary(columns, lines),
        columns=columns,
        lines=_by_concept(lines),
        windows=windows,
        window_lines=_by_concept(window_lines),
        deviations=[] if deviations is None else published_lines(read_csv(deviations, DEVIATION_COLUMNS)),
        figures=[_show(figure) for figure in figures],
        galleries=made,
        gallery_methods=[(method, method_style(method).label) for method in order_methods(methods)],
        gallery_sets=[name for name in GALLERY_SETS if name in sets],
        gallery_prompts=gallery_prompts,
        provenance={name: _entries(value) for name, value in provenance.items()},
    )
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


def _by_concept(lines: Sequence[Line]) -> list[list[Line]]:
    return [list(group) for _, group in groupby(lines, key=lambda line: line.concept)]


def _entries(value: str | Mapping[str, object]) -> str | dict[str, str]:
    return value if isinstance(value, str) else {str(name): str(entry) for name, entry in value.items()}


def _show(figure: ReportFigure) -> _Shown:
    uri = figure_uri(figure.path)
    with Image.open(figure.path) as image:
        width, height = (round(pixels / DPI * PAGE_PIXELS_PER_INCH) for pixels in image.size)
    return _Shown(figure.title, uri, width, height, render_caption(figure.caption, figure.wildcards))


def render_caption(caption: Path, wildcards: Mapping[str, str]) -> Markup:
    """A caption of Snakemake's report (Jinja2 in reStructuredText) as HTML.

    Raises:
        InputError: the file is missing.
    """
    try:
        source = Path(caption).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{caption}: not found, wanted a caption in reStructuredText") from None
    text = (
        Environment(undefined=StrictUndefined).from_string(source).render(snakemake={"wildcards": wildcards})
    )
    settings = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    return Markup(publish_parts(text, writer="html5", settings_overrides=settings)["fragment"])
