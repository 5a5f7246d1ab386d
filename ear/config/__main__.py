"""``python -m ear.config`` writes schemas/config.schema.json, by which editors complete and check configs."""

from ear.config.models import Config
from ear.files import write_json

write_json("schemas/config.schema.json", Config.model_json_schema())
