"""The axes of the evaluation: named protocols with versions, and the images that they need."""
