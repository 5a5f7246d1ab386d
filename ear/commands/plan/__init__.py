"""What an experiment would cost."""
