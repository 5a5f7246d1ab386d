"""What language models are asked, one file a kind of concept."""
