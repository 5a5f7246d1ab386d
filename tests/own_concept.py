"""The mini experiment with what docs/how-to/own-concept.md tells its readers to add to it."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def blocks():
    """The YAML that the page shows, as text."""
    page = (ROOT / "docs/how-to/own-concept.md").read_text(encoding="utf-8")
    return [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]


def with_own_concept():
    """config.yaml with the blocks in their places, as parsed YAML."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for block in blocks():
        shown = yaml.safe_load(block)
        for section, entries in ({"concepts": shown} if "windmill" in shown else shown).items():
            config[section] |= entries
    return config
