"""Erasing concepts from unified autoregressive models (EAR), reproduced end to end."""

__version__ = "0.2.0"
