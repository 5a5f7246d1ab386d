"""What the jobs' imports cost: CPU seconds of each script before its work, and the packages that take most.

Usage: ``python -m benchmarks.imports [SCRIPT …]``, scripts by name; all of them without. Prints a line
each: the median of three rounds after one that warms the caches up. PYTHONDONTWRITEBYTECODE should be unset.
"""

import ast
import re
import resource
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
ROUNDS = 3
LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\w+)")  # of -X importtime: µs of its own, …, module


def imports_of(script: Path) -> str:
    """All import statements of a script, as code."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def cpu_seconds(code: str) -> tuple[float, Counter[str]]:
    """CPU seconds of a new interpreter that runs code, and seconds of import time by package."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", "-c", code]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own: Counter[str] = Counter()
    for microseconds, package in LINE.findall(told):
        own[package] += int(microseconds)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, own


def main() -> None:
    """Print the table."""
    for name in sys.argv[1:] or sorted(path.stem for path in SCRIPTS.glob("*.py")):
        code = imports_of(SCRIPTS / f"{name}.py")
        cpu_seconds(code)
        rounds = [cpu_seconds(code) for _ in range(ROUNDS)]
        own = rounds[0][1]
        most = ", ".join(f"{package} {took / own.total():.0%}" for package, took in own.most_common(5))
        print(f"{statistics.median(seconds for seconds, _ in rounds):5.2f} s  {name:22} {most}", flush=True)


if __name__ == "__main__":
    main()
