"""What the page is made of: its figures in reading order with their captions, and where it all comes from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ear.figures.style import concept_label
from ear.provenance import environment, read_records, trace
from ear.report.page import ReportFigure

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
