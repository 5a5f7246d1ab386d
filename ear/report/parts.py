"""What the page is made of: its figures in reading order with their captions, and where it all comes from."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from ear.figures.style import concept_style
from ear.files import sha256_file
from ear.report.page import ReportFigure

TITLES = {
    "samples": "Before and after",
    "concept-rate": "Concept rate",
    "tradeoff": "Erasure against retention",
    "window-length": "Window length",
    "nudity": "Nudity detections",
    "training": "Training curves",
}
CAPTIONS = {"samples": "overview"}  # without a concept, the grid of all concepts
VERSIONED = (
    "ear-repro",
    "torch",
    "transformers",
    "timm",
    "open-clip-torch",
    "clean-fid",
    "sacrebleu",
    "snakemake",
)


def page_figures(paths: Sequence[str], captions: Sequence[str]) -> list[ReportFigure]:
    """Figures of the page, in the order of ``TITLES``.

    Args:
        paths: PNG files; one of a concept is named "<figure>-<concept>.png".
        captions: reStructuredText files, named as the figures.
    """
    texts = {Path(path).stem: Path(path) for path in captions}
    found = []
    for path in map(Path, paths):
        name = next(name for name in sorted(TITLES, key=len, reverse=True) if path.stem.startswith(name))
        concept = path.stem.removeprefix(name).removeprefix("-")
        label = concept_style(concept).label if concept else ""
        caption = texts[name if concept else CAPTIONS.get(name, name)]
        title = f"{TITLES[name]}: {label}" if concept else TITLES[name]
        found.append((list(TITLES).index(name), ReportFigure(path, title, caption, {"concept": label})))
    return [figure for _, figure in sorted(found, key=lambda entry: entry[0])]


def provenance(config: Mapping[str, Any], lock: str | Path) -> dict[str, str | Mapping[str, object]]:
    """Heading → what the results come from: experiment, seeds, code, packages and machine."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "Run": {
            "experiment": config["experiment"],
            "seed of drawing and training": config["seed"],
            "seeds of fine-tuning": ", ".join(map(str, config["seeds"])),
            "code": commit or "not in a git repository",
            "packages": f"requirements.lock, sha256 {sha256_file(lock)}",
        },
        "Versions": {"python": platform.python_version()} | {name: version(name) for name in VERSIONED},
        "Machine": {"processor": platform.machine(), "system": platform.platform()}
        | {"device": config["backbone"]["device"], "threads": config["backbone"]["threads"]},
        "Config": yaml.safe_dump(dict(config), sort_keys=False),
    }
