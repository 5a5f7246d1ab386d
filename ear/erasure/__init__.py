"""The method: streams of the frozen model, erasure objective, windowed fine-tuning, saved adapter."""
