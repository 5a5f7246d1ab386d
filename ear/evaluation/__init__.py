"""Evaluation: what is measured, on which prompts, with which uncertainty."""
