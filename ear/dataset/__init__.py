"""The data set of a concept as a product: pairs, splits, images or their seeds, and a datasheet."""
