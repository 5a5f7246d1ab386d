"""Is a finished results folder what its jobs wrote, and what its config says? Told from its files alone."""
