"""Pretrained models and published data: listed in assets.yaml, fetched, checked against a lock, linked."""
