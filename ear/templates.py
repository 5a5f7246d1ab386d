"""Jinja templates, which fail on a name that nobody fills in and leave no blank line for a statement."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def load_template(
    path: Path, filters: dict[str, Callable[..., Any]] | None = None, **options: Any
) -> Template:
    """Load a template that stands beside its module.

    Args:
        path: the file.
        filters: name → filter, for this template.
        options: further options of jinja2's Environment.
    """
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= filters or {}
    return environment.get_template(path.name)
