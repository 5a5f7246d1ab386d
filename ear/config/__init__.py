"""What an experiment is: typed, checked before any job starts."""

from ear.config.loading import parse_config
from ear.config.models import Config

__all__ = ["Config", "parse_config"]
