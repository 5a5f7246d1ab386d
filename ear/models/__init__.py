"""Models: fetched, checked, loaded."""
