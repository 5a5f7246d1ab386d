"""Where prompt pairs come from: language models, and the grammar behind the same interface."""
