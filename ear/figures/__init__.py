"""Figures: one module a figure, each with one function ``draw`` that plots a table's rows as they are."""
