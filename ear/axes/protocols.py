"""Names and versions of the axes' protocols."""

PROTOCOLS = {
    name: f"{name}/1"
    for name in (
        *("erasure", "implicit", "neighbours", "retention", "quality", "understanding", "questions"),
        *("prefix", "guidance", "temperature", "search", "relearning"),
    )
}
"""Axis → name and version."""
