"""Configs of the smoke experiment for tests of its results."""

from pathlib import Path
from typing import Any

import yaml

from ear.config import Config, parse_config
from ear.models.catalogue import load_catalogue, shapes_of

ROOT = Path(__file__).parents[1]
CATALOGUE = load_catalogue(ROOT / "assets.yaml")


def smoke_config() -> Config:
    """The smoke experiment with six pairs, a filter that drops, a second seed and a second method that trains."""
    return parse_config(_smoke(), "smoke", shapes_of(CATALOGUE))


def joint_config() -> Config:
    """The same with a second concept, a zero-shot judge, and a method that erases both together."""
    raw = _smoke()
    judge = {"by": "zero-shot"}
    raw["concepts"]["castle"] = {"kind": "object", "words": "castle", "judge": judge, "window": 4}
    raw["methods"]["both"] = {"variant": "ear", "erase": ["castle", "church"]}
    return parse_config(raw, "joint", shapes_of(CATALOGUE))


def _smoke() -> dict[str, Any]:
    raw = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text(encoding="utf-8"))
    raw["prompts"]["sources"]["grammar"]["pairs"] = 6
    raw["methods"]["released"] = {"variant": "released"}
    return raw | {"filter": {"drop": True}, "seeds": [0, 1]}
