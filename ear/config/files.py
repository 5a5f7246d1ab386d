"""The file of a config: one, and read more strictly than Snakemake reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ear.errors import InputError
from ear.texts import read_json, read_yaml


def read_config(path: str | Path) -> Mapping[str, Any]:
    """Read the file of a config.

    Snakemake's own reader keeps the last of two equal keys, and names neither file nor line of a mistake.

    Raises:
        InputError: it is no YAML (or JSON, by its suffix) with keys at its top, or has a key twice; with
            its line.
    """
    wanted = "wanted the YAML of an experiment, as in config.yaml"
    raw = (read_json if Path(path).suffix == ".json" else read_yaml)(path, wanted)
    if not isinstance(raw, dict):
        raise InputError(f"{path}: found {'nothing' if raw is None else type(raw).__name__}, {wanted}")
    return raw


def is_recipe(raw: Mapping[str, Any]) -> bool:
    """Whether a config says how the mini world's models are trained, in place of an experiment."""
    return "training" in raw


def check_config_files(paths: Sequence[str | Path]) -> None:
    """Check the files that an experiment is given by, before Snakemake's own reading of them counts.

    Raises:
        InputError: there are several, which Snakemake would merge key by key, or the file is none
            (``read_config``).
    """
    if len(paths) > 1:
        raise InputError(
            f"--configfile: found {', '.join(map(str, paths))}, wanted one file: "
            "a target goes before --configfile, and another experiment into a file of its own"
        )
    for path in paths:
        read_config(path)
