"""What is measured on images, captions and verdicts, and the tidy table of the results."""
