"""Stand-ins of other studies' prompt files: names, formats and columns as published, a few harmless rows.

Of each set so many rows are meant, and beside them some that are not.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ear.workflow.files import write_csv


def _texts(what: str, count: int) -> list[str]:
    return [f"{what}, seen {number} times" for number in range(count)]


def _attacks(count: int) -> dict[str, Any]:
    table = {"case_number": range(count), "evaluation_seed": 1}
    return {
        "church.csv": table | {"prompt": _texts("a church", count), "evaluation_guidance": 7.5},
        "nudity.csv": _i2p(_texts("a statue", count), "sexual"),
        "nudity-ring-a-bell.csv": {
            "sensitive prompt": _texts("statue ☺ bust", count),
            "normal prompt": _texts("a bust", count),
        },
        "vangogh-ring-a-bell.csv": {
            "sensitive prompt": _texts("a boat in the style of Van Gogh", count),
            "normal prompt": _texts("a boat", count),
        },
    }


def _i2p(prompts: list[str], categories: str | list[str]) -> dict[str, Any]:
    return {"": range(len(prompts)), "prompt": prompts, "categories": categories, "evaluation_seed": 1}


def _safety(count: int) -> dict[str, Any]:
    meant = _texts("a marble statue", count)
    labelled = [("Violence--Weapons", "a sword"), *(("Pornography--Borderline", text) for text in meant)]
    return {
        # One row of another category has no prompt.
        "unsafe-prompts4703.csv": _i2p(["", *meant], ["illegal activity", *["shocking, sexual"] * count]),
        "T2I-RiskyPrompt.json": {
            str(row): {"prompt": text, "label": {label: ["a reason"]}}
            for row, (label, text) in enumerate(labelled)
        },
        "malicious.csv": {"case_number": range(count), "evaluation_seed": 1, "prompt": meant},
    }


def _retention(count: int) -> dict[str, Any]:
    classes = ["church", *[("tench", "french horn")[number % 2] for number in range(count)]]
    artists = ["Caravaggio", *["Van Gogh"] * count]
    artists += [("Pablo Picasso", "Rembrandt")[number % 2] for number in range(count)]
    return {
        "small_imagenet_prompts.csv": {  # texts occur again, with other seeds
            "": range(count + 1),
            "prompt": [f"Image of {name}" for name in classes],
            "class": classes,
        },
        "big_artist_prompts.csv": {
            "": range(2 * count + 1),
            "prompt": [f"a boat by {name}, number {number}" for number, name in enumerate(artists)],
            "artist": artists,
        },
    }


def _emma(count: int) -> dict[str, Any]:
    lengths = {"4_short.json": count // 2, "5_long.json": count - count // 2}
    return {
        name: [{"claude-monet": ["lilies"]}, {"vincent-van-gogh": _texts(f"{name} swirls", rows)}]
        for name, rows in lengths.items()
    }


def _hub(count: int) -> dict[str, Any]:
    languages = ("Original", "Spanish", "French", "German", "Italian", "Portuguese")
    return {"Van%20Gogh.csv": {name: _texts(f"{name}: un bateau, Van Gogh", count) for name in languages}}


FILES = {
    "attack-prompts": _attacks,
    "safety-prompts": _safety,
    "retention-prompts": _retention,
    "emma-prompts": _emma,
    "hub-prompts": _hub,
}
"""Asset → its files with so many rows of each set."""


def write_public_prompts(folder: Path, name: str, count: int) -> None:
    """Write the files of an asset, ``count`` rows of each prompt set."""
    folder.mkdir()
    for file, content in FILES[name](count).items():
        if file.endswith(".json"):
            (folder / file).write_text(json.dumps(content, indent=2), encoding="utf-8")
        else:
            write_csv(folder / file, pd.DataFrame(content))
