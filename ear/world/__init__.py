"""The mini world: procedural pictures, their captions, and the training of a small Janus backbone on them."""
