"""What an experiment is: typed, checked before any job starts."""

from ear.config.erasure import ORIGINAL
from ear.config.loading import parse_config
from ear.config.models import Config

__all__ = ["ORIGINAL", "Config", "parse_config"]
