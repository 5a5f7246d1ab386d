"""What would stop an experiment on this machine, found in seconds, before anything is fetched or computed."""
