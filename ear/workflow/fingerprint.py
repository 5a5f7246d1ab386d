"""A fingerprint of the code that a rule runs, so that an edit reruns the rules it concerns and no others.

Counted are the syntax trees of a script and of every definition of the package ``ear`` that it reaches by
name: a function that it imports, what that function uses of its own module and of others, and so on. A module
that is used as an object counts as a whole. Statements of a reached module that define nothing (a call, an
``if``) always count; comments, docstrings and formatting never do. Data files (suffixes in ``DATA_SUFFIXES``)
count by their bytes when a module in the same folder is reached. Modules imported by a computed name
(``importlib``) are not seen: their rule names them.

Nothing is imported, only read. Fingerprints differ between minor versions of Python, as syntax trees do.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ear.errors import InputError

PACKAGE = "ear"
DATA_SUFFIXES = (".css", ".j2", ".js", ".mplstyle", ".yaml")


class _Statement(NamedTuple):
    """A statement of a module: its digest, and the dotted names of the package that it refers to."""

    digest: str
    uses: frozenset[str]


class _Module(NamedTuple):
    """A module's statements, by a key; which of them bind a name, and what imported names stand for."""

    statements: dict[str, _Statement]
    bound: dict[str, list[str]]
    imported: dict[str, str]
    always: list[str]


def code_fingerprint(script: Path, root: Path, modules: Iterable[str] = ()) -> str:
    """Hexadecimal SHA-256 over the code that a script reaches; a process reads each file once.

    Args:
        script: the Python file that a rule runs.
        root: the folder that holds the package ``ear``.
        modules: dotted names of what the script imports by a computed name.

    Raises:
        InputError: a reached file is missing or is not Python.
    """
    start = _read(Path(script), "", False)
    reached = {f":{key}": statement.digest for key, statement in start.statements.items()}
    waiting = set(modules).union(*(statement.uses for statement in start.statements.values()))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for key, statement in _reach(name, root):
            reached[key] = statement.digest
            waiting |= statement.uses - seen
    lines = [f"{key} {reached[key]}" for key in sorted(reached)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _reach(name: str, root: Path) -> Iterator[tuple[str, _Statement]]:
    """Statements that a dotted name stands for, by a key; and those that run when its module is imported."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module_name = ".".join(parts[:end])
        if (path := _source(module_name, root)) is None:
            break
        inside = path.name == "__init__.py"
        module = _read(path, module_name, inside)
        for key in module.always:
            yield f"{module_name}:{key}", module.statements[key]
        yield module_name, _Statement(_data(path.parent), frozenset())
        rest = parts[end:]
        if not rest or rest[0] in module.bound:
            for key in module.bound[rest[0]] if rest else module.statements:
                yield f"{module_name}:{key}", module.statements[key]
        elif rest[0] in module.imported:  # handed on
            target = ".".join([module.imported[rest[0]], *rest[1:]])
            yield f"{module_name}:{rest[0]}", _Statement(target, frozenset([target]))


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
def _read(path: Path, name: str, package: bool) -> _Module:
    """The statements of a file, whose dotted name is empty for a script, and which may be a package's own."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: not found, wanted a Python file") from None
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: found a syntax error ({error.msg}), wanted none") from None
    base = name if package else name.rpartition(".")[0]
    imported: dict[str, str] = {}
    bound: dict[str, list[str]] = defaultdict(list)
    always: list[str] = []
    found: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imported |= _imports(statement, base)
        elif names := _binds(statement):
            # What stands between two definitions moves none of them.
            key = f"{names[0]} {len(bound[names[0]])}"
            found[key] = statement
            for one in names:
                bound[one].append(key)
        elif not _is_text(statement):
            always.append(f"- {len(always)}")
            found[always[-1]] = statement
    outer = imported | {one: f"{name}.{one}" for one in bound if name}
    statements = {
        key: _Statement(_digest(statement), frozenset(_uses(statement, outer, base)))
        for key, statement in found.items()
    }
    return _Module(statements, bound, imported, always)


def _imports(statement: ast.stmt, base: str) -> dict[str, str]:
    """Names that an import binds → dotted names that they stand for; imports of other packages too."""
    if isinstance(statement, ast.Import):
        tops = {alias.name.partition(".")[0] for alias in statement.names if not alias.asname}
        return {top: top for top in tops} | {a.asname: a.name for a in statement.names if a.asname}
    assert isinstance(statement, ast.ImportFrom)
    above = base.split(".")[: len(base.split(".")) - (statement.level - 1)] if statement.level else []
    start = ".".join([*above, *filter(None, [statement.module])])
    return {alias.asname or alias.name: f"{start}.{alias.name}" for alias in statement.names}


def _binds(statement: ast.stmt) -> list[str]:
    """Names that a definition or an assignment binds; none of any other statement."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign(targets=targets):
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=one)) | ast.AugAssign(target=ast.Name(id=one)):
            return [one]
    return []


def _uses(statement: ast.stmt, outer: dict[str, str], base: str) -> Iterator[str]:
    """Dotted names of the package that a statement refers to."""
    known = dict(outer)
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= _imports(node, base)
    for first, *rest in _chains(statement):
        target = known.get(first, "")
        if target.partition(".")[0] == PACKAGE:
            yield ".".join([target, *rest])


def _chains(node: ast.AST) -> Iterator[list[str]]:
    """Names and attributes of names (``a``, ``a.b.c``) below a node, each as long as it is."""
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *reversed(names)]
    else:
        for child in ast.iter_child_nodes(node):
            yield from _chains(child)


def _digest(statement: ast.stmt) -> str:
    """Hash of a statement without its docstrings and the words below its fields."""
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(statement).encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    """Whether a node is a bare string."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
