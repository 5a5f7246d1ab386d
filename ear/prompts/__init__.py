"""Prompt pairs and evaluation prompts: where they come from, and the checks that every source must pass."""
