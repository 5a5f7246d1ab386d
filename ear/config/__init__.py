"""What an experiment is: typed, checked before any job starts."""

from ear.config.experiment import Config
from ear.config.parsing import parse_config

__all__ = ["Config", "parse_config"]
