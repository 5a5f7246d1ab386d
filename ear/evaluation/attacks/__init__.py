"""Attacks on an erased model: searched prompts, relearning."""
