"""The method: token sequences of the frozen model, objectives, windowed fine-tuning, edited weights."""
