"""``python -m ear.config FILE`` checks a config; without a file it writes schemas/config.schema.json.

Editors complete and check configs by that schema.
"""

import sys

from ear.assets.catalogue import load_catalogue
from ear.config.files import read_config
from ear.config.loading import parse_config
from ear.config.models import Config
from ear.errors import InputError
from ear.files import write_json


def main(files: list[str]) -> int:
    """Print what is wrong with each file and return 1, or return 0."""
    if not files:
        write_json("schemas/config.schema.json", Config.model_json_schema())
    try:
        for path in files:
            shapes = {name: one.shape for name, one in load_catalogue("assets.yaml").items() if one.shape}
            parse_config(read_config(path), path, shapes)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
