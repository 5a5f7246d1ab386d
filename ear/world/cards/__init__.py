"""Folders of the mini world's trained models, as models/ holds them, each with a card."""
