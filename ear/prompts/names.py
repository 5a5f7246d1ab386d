"""Names of sources that tables and configs share. Nothing is imported here: configs are read fast."""

GRAMMAR = "grammar"
"""The mini world's grammar."""
PUBLISHED = "published"
"""Source of the authors' pairs."""
