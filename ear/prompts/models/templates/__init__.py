"""What language models are asked: files that people read and edit, beside the module that fills them."""
