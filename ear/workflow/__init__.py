"""What every job shares: log, files, texts, seeds, progress, provenance, fingerprint of its code."""
