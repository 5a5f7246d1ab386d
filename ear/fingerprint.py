"""A fingerprint of the code that a rule runs, so that an edit reruns the rules it concerns and no others.

Counted are the syntax trees of a script and of every module of the package ``ear`` that it reaches through
import statements, those inside functions included. Comments, docstrings and formatting do not count. Data
files (suffixes in ``DATA_SUFFIXES``) count by their bytes when a module in the same folder is reached: a
template belongs beside the module that fills it. Modules imported by a computed name (``importlib``) are not
seen.

Nothing is imported, only read. Syntax trees differ between minor versions of Python, and so do the
fingerprints.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ear.errors import InputError

PACKAGE = "ear"
DATA_SUFFIXES = (".css", ".j2", ".js", ".mplstyle", ".yaml")


def code_fingerprint(script: Path, root: Path) -> str:
    """SHA-256 over the code that a script reaches.

    A file is read once in a process: later edits do not change what the process sees.

    Args:
        script: the Python file that a rule runs.
        root: the folder that holds the package ``ear``.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: a reached file is missing or is not Python.
    """
    digest, imported = _read(Path(script), "")
    reached: dict[str, str] = {}
    waiting = set(imported)
    while waiting:
        name = waiting.pop()
        path = _source(name, root)
        if path is None or name in reached:
            continue
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        code, imported = _read(path, package)
        reached[name] = code + _data(path.parent)
        waiting |= imported
    lines = [digest, *(f"{name} {reached[name]}" for name in sorted(reached))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _source(module: str, root: Path) -> Path | None:
    """The file of a dotted name, or None where the name is a function or a class."""
    path = root.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if candidate.is_file():
            return candidate
    return None


@cache
def _data(folder: Path) -> str:
    """One digest of the data files of a folder, empty where there are none."""
    files = sorted(path for path in folder.iterdir() if path.suffix in DATA_SUFFIXES)
    return "".join(f" {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)


@cache
def _read(path: Path, package: str) -> tuple[str, frozenset[str]]:
    """Digest of a file's code, and the dotted names of ``ear`` that its imports may stand for.

    Args:
        path: a Python file.
        package: the package that its relative imports start from, empty for a script.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted a Python file") from None
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: not Python ({error.msg})") from None
    names: set[str] = set()
    for node in ast.walk(tree):
        names.update(_imported(node, package))
        _drop_docstrings(node)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(names)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of ``ear``, with all their parents, that an import statement may load."""
    if isinstance(node, ast.Import):
        targets = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
            base = ".".join([*above, base] if base else above)
        targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    else:
        return
    for target in targets:
        parts = target.split(".")
        if parts[0] == PACKAGE:
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _drop_docstrings(node: ast.AST) -> None:
    """Remove statements that are a bare string: docstrings, and the words below a field."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
