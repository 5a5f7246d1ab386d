"""What models/ holds: the mini world's models, each with its card, and the hashes that assets.yaml states."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from ear.workflow.files import atomic_path, load_template, sha256_file
from ear.workflow.provenance import read_records

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
CARD = "README.md"
FRONT = {"license": "mit", "tags": ["mini-world", "concept-erasure"]}
QUALITY = "metrics.json"
"""Of a judge, in the folder that its training wrote; the card says it."""
PACKAGES = ("python", "torch", "transformers", "timm", "open-clip-torch")


class Kind(NamedTuple):
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
    "mini-liquid": Kind(
        "transformers",
        "A small Liquid model that draws, describes and answers questions about 64 × 64 pictures of the mini "
        "world: a language model (`LlamaForCausalLM`) whose last 512 words are the codes of an image "
        "tokenizer, in `image_tokenizer/`. That is mini-backbone's VQ tokenizer, rounded to float16.",
        ("train_liquid",),
        ("architecture", "language_model", "liquid_steps"),
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
    """
    kind, training, all_records = KINDS[name], recipe["training"], read_records(logs)
    records = {job: all_records[job] for job in kind.jobs}
    versions = [
        f"{package} {record['versions'][package]}" for record in records.values() for package in PACKAGES
    ]
    settings = {"seed": recipe["seed"], "images": training["images"]}
    settings |= {section: training[section] for section in kind.sections}
    numbers = pd.json_normalize(dict(quality), sep=", ").iloc[0]
    with atomic_path(folder) as partial:
        shutil.copytree(trained, partial, ignore=shutil.ignore_patterns(QUALITY))
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        hashes = {path.relative_to(partial).as_posix(): sha256_file(path) for path in files}
        size = sum(path.stat().st_size for path in files)
        text = load_template(TEMPLATE, keep_trailing_newline=True).render(
            front_matter=yaml.safe_dump({"library_name": kind.library} | FRONT, sort_keys=False),
            name=name,
            what=kind.what,
            quality=[(str(key).replace("_", " "), f"{value:,.4g}") for key, value in numbers.items()],
            command=command,
            images=training["images"],
            settings=yaml.safe_dump(settings, sort_keys=False),
            trainings=list(records.items()),
            versions=", ".join(dict.fromkeys(versions)),
            hashes=hashes,
        )
        (partial / CARD).write_text(text, encoding="utf-8")
    return {"size": size, "sha256": hashes}
