"""The axes of the evaluation, each a named protocol with a version."""
