"""What the backbone is asked about an image: the same words in training and in evaluation."""

DESCRIBE = "describe the image"
