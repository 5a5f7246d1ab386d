"""Stand-ins for the paper's assets: tiny, random, in exactly the real formats."""
