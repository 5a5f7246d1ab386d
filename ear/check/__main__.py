"""The check of this machine before the first job of a run: ``python -m ear.check``, with JSON on stdin."""

import json
import sys

from ear.assets.catalogue import load_catalogue, shapes_of
from ear.check.findings import check_machine
from ear.config import parse_config


def main() -> int:
    """Print the first line that would stop the run and return 1, or what may slow it and return 0."""
    given = json.load(sys.stdin)
    catalogue = load_catalogue(given["catalogue"])
    config = parse_config(given["config"], source="the experiment's config", shapes=shapes_of(catalogue))
    found = check_machine(config, catalogue, given["memory_mb"], given["backbone"])
    errors = [one for one in found if one.level == "error"]
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        how = f"(snakemake check lists this{more}; --no-hooks starts all the same)"
        print(errors[0], how, file=sys.stderr)
        return 1
    for one in found:
        if one.level == "warning":
            print(one, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
