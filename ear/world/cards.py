"""What models/ holds: the mini world's models, each with its card, and the hashes that assets.yaml states."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from ear.errors import InputError
from ear.workflow.files import atomic_path, load_template, sha256_file
from ear.workflow.provenance import Record, read_records
from ear.workflow.texts import read_json

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
FRONT = {"license": "mit", "tags": ["mini-world", "concept-erasure"]}
QUALITY = "metrics.json"
"""Of a judge, in the folder that its training wrote; the card says it."""


@dataclass(frozen=True)
class Kind:
    """One of the models.

    Attributes:
        library: that loads it, by the hub's name.
        what: it is, in Markdown.
        jobs: that trained it, in order.
        sections: sections of the recipe's ``training`` that it was trained by.
    """

    library: str
    what: str
    jobs: tuple[str, ...]
    sections: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "mini-backbone": Kind(
        "transformers",
        "A small Janus model (`JanusForConditionalGeneration`) that draws, describes and answers questions "
        "about 64 × 64 pictures of the mini world: a VQ tokenizer, and a language model around it.",
        ("train_vq", "train_language_model"),
        ("vq", "architecture", "language_model"),
    ),
    "mini-classifier": Kind(
        "timm",
        "A small ResNet that names object, style and fire of a 64 × 64 picture of the mini world. It judges "
        "what other models draw, and its features are compared by FID and KID.",
        ("train_classifier",),
        ("classifier",),
    ),
    "mini-clip": Kind(
        "open_clip",
        "A small CLIP model for 64 × 64 pictures and captions of the mini world. It gives the CLIP score "
        "and judges by phrases in place of labels.",
        ("train_clip",),
        ("clip",),
    ),
}


def write_model(
    name: str,
    folder: str | Path,
    trained: str | Path,
    quality: Mapping[str, Any],
    recipe: Mapping[str, Any],
    command: str,
    logs: str | Path,
) -> dict[str, Any]:
    """Write a model's folder, which appears whole: what its training wrote, and a card.

    Args:
        name: key of ``KINDS``.
        folder: where it goes.
        trained: the folder that the training wrote.
        quality: quality on held-out pictures: name → number, or names → numbers.
        recipe: all keys of it.
        command: that trained it.
        logs: folder with the records of the trainings: commit, machine, versions.

    Returns:
        What assets.yaml states of it: ``size`` and ``sha256``.

    Raises:
        InputError: a training has left no record.
    """
    kind = KINDS[name]
    records = read_records(logs)
    if missing := [job for job in kind.jobs if job not in records]:
        raise InputError(
            f"{logs}/{missing[0]}.json: not found, wanted the record of that training: run it again"
        )
    training = recipe["training"]
    settings = {"seed": recipe["seed"], "images": training["images"]}
    settings |= {section: training[section] for section in kind.sections}
    with atomic_path(folder) as partial:
        shutil.copytree(trained, partial, ignore=shutil.ignore_patterns(QUALITY))
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        hashes = {path.relative_to(partial).as_posix(): sha256_file(path) for path in files}
        size = sum(path.stat().st_size for path in files)
        text = load_template(TEMPLATE, keep_trailing_newline=True).render(
            front_matter=yaml.safe_dump({"library_name": kind.library} | FRONT, sort_keys=False),
            name=name,
            what=kind.what,
            quality=list(_flat(quality)),
            command=command,
            images=training["images"],
            settings=yaml.safe_dump(settings, sort_keys=False),
            trainings=[(job, records[job]) for job in kind.jobs],
            versions=_versions([records[job] for job in kind.jobs]),
            hashes=hashes,
        )
        ModelCard(text)  # the hub's own reader takes it
        (partial / CARD).write_text(text, encoding="utf-8")
    return {"size": size, "sha256": hashes}


def qualities(backbone: Mapping[str, str], judges: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Held-out quality of each model.

    Args:
        backbone: part of the backbone → JSON with its quality.
        judges: name of a judge's model → the folder that its training wrote.
    """
    return {
        "mini-backbone": {part: read_json(path) for part, path in backbone.items()},
        **{name: read_json(Path(folder) / QUALITY) for name, folder in judges.items()},
    }


def _flat(values: Mapping[str, Any], *above: str) -> Iterator[tuple[str, str]]:
    """(what, number) of nested numbers."""
    for key, value in values.items():
        names = (*above, key.replace("_", " "))
        if isinstance(value, Mapping):
            yield from _flat(value, *names)
        else:
            yield ", ".join(names), f"{value:,.4g}"


def _versions(records: list[Record]) -> str:
    """Packages that the trainings ran on."""
    found = dict.fromkeys(
        f"{name} {record['versions'][name]}"
        for record in records
        for name in ("python", "torch", "transformers", "timm", "open-clip-torch")
    )
    return ", ".join(found)
