"""Attacks on an erased model: on its prompts (search) and on its weights (relearning)."""
