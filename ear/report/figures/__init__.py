"""Figures of the report, a module a figure."""
