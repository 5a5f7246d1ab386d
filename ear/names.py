"""Names that stand in configs, folders and tables alike."""

ORIGINAL = "original"
"""The method that trains nothing: the model before erasure, which all others are compared with."""

ALL_SEEDS = "all"
"""The seed of rows over all fine-tuning seeds."""

GRAMMAR, PUBLISHED = "grammar", "published"
"""Sources of prompt pairs: the mini world's grammar, and the authors' files."""
