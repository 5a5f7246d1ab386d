"""What would stop an experiment on this machine."""
