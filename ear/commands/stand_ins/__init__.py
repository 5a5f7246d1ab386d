"""Stand-ins of the paper's assets: tiny, with random weights."""
