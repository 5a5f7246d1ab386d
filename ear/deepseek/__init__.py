"""Checkpoints in DeepSeek's own format (model_type "multi_modality"), read without DeepSeek's package."""
