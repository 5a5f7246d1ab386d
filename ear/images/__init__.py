"""Images: sampled, decoded, rendered to disk, captioned."""
