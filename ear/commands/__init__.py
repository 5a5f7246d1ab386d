"""What is asked for by name: plan, check, verify, export, archive, data set, stand-ins."""
