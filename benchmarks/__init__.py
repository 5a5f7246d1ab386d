"""What was measured: speed beside naive loops, models of the real shape, and what the release does."""
