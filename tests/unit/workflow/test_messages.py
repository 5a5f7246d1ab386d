"""Messages, labels and docs in plain English: no house words, and each error says what is wanted or what to do."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOUSE_WORDS = re.compile(
    r"\b(streams?|goals?|readings?|uniforms|probes?|lessons?|victims?|peers|choices|in[_ ]turn|(?<!more than )asked|told|growing"
    r"|beginnings?|to be had|is none|concept shown|shown / kept)\b",
    re.IGNORECASE,
)
DRAWN = re.compile(r"(?<!world: )\bdrawn\b")  # the mini world is drawn; images are rendered, tokens sampled
TO_DO = re.compile(
    r"\b(wanted|required|accept|add|check|delete|give|install|load|lower|put|raise|remove|run|set|use|write)\b"
)
LOGGED = ("debug", "info", "warning", "error", "exception")
OF_CONFIG = ("ValueError", "_wrong", "_required", "_refused")


class Module:
    """A module's messages, each as the text of its fixed parts."""

    def __init__(self, path: Path) -> None:
        self.path, tree = path, ast.parse(path.read_text(encoding="utf-8"))
        self.calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self.assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.assigned.setdefault(node.targets[0].id, []).append(node.value)

    def text(self, node: ast.AST, follow: bool = True) -> str:
        """All strings of an expression; a name stands for what is assigned to it in the module."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else ""
        if isinstance(node, ast.Subscript):  # a column or a key
            return ""
        if isinstance(node, ast.Name):
            values = self.assigned.get(node.id, []) if follow else []
            return " ".join(self.text(value, follow=False) for value in values)
        parts = [self.text(child, follow) for child in ast.iter_child_nodes(node)]
        return ("" if isinstance(node, ast.JoinedStr) else " ").join(parts)

    def messages(self, *names: str) -> list[tuple[str, ast.Call]]:
        """Calls of functions, with their place."""
        where = self.path.relative_to(ROOT)
        return [(f"{where}:{node.lineno}", node) for node in self.calls if name_of(node) in names]


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


MODULES = [Module(path) for folder in ("ear", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))]


def all_messages():
    """(place, text) of what a run says: errors, findings of the check, logs, progress labels, rules."""
    for module in MODULES:
        names = ("InputError", "Finding", *(OF_CONFIG if module.path.parent.name == "config" else ()))
        yield from ((place, module.text(call)) for place, call in module.messages(*names, *LOGGED))
        for call in module.calls:
            label = [word.value for word in call.keywords if word.arg == "desc"]
            label += call.args[1:2] if name_of(call) == "progress" else []
            yield from ((f"{module.path.name}:{call.lineno}", module.text(one)) for one in label)
    for path in sorted((ROOT / "rules").glob("*.smk")):
        lines = re.findall(r"message:\s+f?(\".*\")", path.read_text(encoding="utf-8"))
        yield from ((path.name, line) for line in lines)


def test_what_a_run_says_has_no_house_words():
    texts = list(all_messages())
    assert len(texts) > 300
    found = [(place, word[0]) for place, text in texts for word in HOUSE_WORDS.finditer(text)]
    found += [(place, text) for place, text in texts if DRAWN.search(text)]
    assert found == []


def test_every_error_says_what_is_wanted_or_what_to_do():
    """Errors that only pass a library's message on have no words of their own."""
    silent = []
    for module in MODULES:
        for place, call in module.messages("InputError"):
            text = module.text(call)
            names = " ".join(node.id for node in ast.walk(call) if isinstance(node, ast.Name))
            own = re.search("[a-z]", module.text(call, follow=False))
            if own and not TO_DO.search(text) and "wanted" not in names.lower():
                silent.append((place, text))
    assert silent == []


PROSE = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "report").glob("*.rst"))]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_docs_and_captions_have_no_house_words(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [(number, word[0]) for number, line in enumerate(lines, 1) for word in HOUSE_WORDS.finditer(line)]
    assert found == []


def test_titles_and_labels_of_figures_have_no_house_words():
    found = []
    for path in (*sorted((ROOT / "ear/report").rglob("*.py")), ROOT / "ear/evaluation/protocols.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
        found += [
            (f"{path.name}:{node.lineno}", word[0])
            for node in texts
            for word in HOUSE_WORDS.finditer(str(node.value))
            if " " in str(node.value)
        ]
    assert found == []


def test_troubleshooting_quotes_messages_as_the_code_says_them():
    page = (ROOT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
    rows = page.partition("## Messages")[2].partition("\n## ")[0].splitlines()
    quoted = [row.split("|")[1].strip().strip("`") for row in rows if row.startswith("| `")]
    assert len(quoted) >= 10
    strings = [
        node.value
        for path in (ROOT / "ear").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    parts = [part.strip(" :;,'") for message in quoted for part in message.split("…")]
    assert [part for part in parts if part and not any(part in one for one in strings)] == []
