"""Speed, measured side by side with naive loops: `python -m benchmarks.erasure`, `….rendering`."""
