"""Prompt pairs by language models."""
