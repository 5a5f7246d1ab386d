"""``python -m ear.config FILE`` checks a config; without a file it writes the schemas in schemas/.

Editors complete and check configs by them.
"""

import sys

from ear.config.experiment import Config
from ear.config.parsing import is_recipe, parse_config, read_config
from ear.config.recipe import Recipe, parse_recipe
from ear.config.sections import Section
from ear.errors import InputError
from ear.models.catalogue import load_catalogue, shapes_of
from ear.workflow.files import write_json

SCHEMAS: dict[str, type[Section]] = {"config": Config, "recipe": Recipe}


def main(files: list[str]) -> int:
    """Print what is wrong with each file and return 1, or return 0."""
    if not files:
        for name, model in SCHEMAS.items():
            write_json(f"schemas/{name}.schema.json", model.model_json_schema())
    try:
        for path in files:
            raw = read_config(path)
            if is_recipe(raw):
                parse_recipe(raw, path)
            else:
                parse_config(raw, path, shapes_of(load_catalogue("assets.yaml")))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
