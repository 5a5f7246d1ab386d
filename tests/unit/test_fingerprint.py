import subprocess
import sys
from pathlib import Path

import pytest

from ear.errors import InputError
from ear.fingerprint import code_fingerprint

REPOSITORY = Path(__file__).parents[2]

TREE = {
    "scripts/erase.py": "from ear.erasure.trainer import train\n\ntrain()\n",
    "ear/__init__.py": '"""The package."""\n',
    "ear/errors.py": "class InputError(ValueError):\n    pass\n",
    "ear/unused.py": "A = 1\n",
    "ear/erasure/__init__.py": "",
    "ear/erasure/trainer.py": (
        "from . import windows\nfrom ..errors import InputError\n\n\n"
        "def train():\n    from ear.late import now\n\n    return now(windows.LENGTH)\n"
    ),
    "ear/erasure/windows.py": "import ear.erasure.trainer\n\nLENGTH = 8  # tokens\n",
    "ear/late.py": "def now(value):\n    return value\n",
    "ear/report/__init__.py": "",
    "ear/report/page.j2": "<h1>{{ title }}</h1>\n",
}


@pytest.fixture
def fingerprint(tmp_path):
    """Fingerprint of scripts/erase.py in a fresh copy of TREE with some files changed."""
    copies = iter(range(100))

    def of(changes=None):
        root = tmp_path / str(next(copies))
        for name, text in (TREE | (changes or {})).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return code_fingerprint(root / "scripts/erase.py", root)

    return of


def test_the_place_of_the_repository_does_not_count(fingerprint):
    assert fingerprint() == fingerprint()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ear/__init__.py", '"""Other words."""\n'),
        (
            "ear/erasure/windows.py",
            "import ear.erasure.trainer\n\n\n# in image tokens\nLENGTH = (\n    8\n)\n",
        ),
        ("ear/erasure/windows.py", 'import ear.erasure.trainer\nLENGTH = 8\n"""Words below a field."""\n'),
        ("ear/late.py", 'def now(value):\n    """Say it.\n\n    At length.\n    """\n    return value\n'),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(fingerprint, name, text):
    assert fingerprint({name: text}) == fingerprint()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scripts/erase.py", "from ear.erasure.trainer import train\n\ntrain(1)\n"),
        ("ear/__init__.py", "import os\n"),
        ("ear/erasure/__init__.py", "K = 5\n"),
        ("ear/erasure/trainer.py", TREE["ear/erasure/trainer.py"] + "\nmore = 1\n"),
        ("ear/erasure/windows.py", "import ear.erasure.trainer\n\nLENGTH = 9\n"),  # from . import
        ("ear/errors.py", "class InputError(Exception):\n    pass\n"),  # from ..errors import
        ("ear/late.py", "def now(value):\n    return -value\n"),  # imported inside a function
    ],
)
def test_an_edit_in_reached_code_counts(fingerprint, name, text):
    assert fingerprint({name: text}) != fingerprint()


def test_an_edit_elsewhere_does_not_count(fingerprint):
    assert fingerprint({"ear/unused.py": "A = 2\n", "ear/report/page.j2": "other"}) == fingerprint()


def test_a_moved_definition_counts(fingerprint):
    # The same statements, in other modules: which module holds what is code.
    swapped = {"ear/errors.py": TREE["ear/late.py"], "ear/late.py": TREE["ear/errors.py"]}
    assert fingerprint(swapped) != fingerprint()


def test_a_template_counts_where_a_module_beside_it_is_reached(fingerprint):
    script = {"scripts/erase.py": "from ear import report\n"}
    assert fingerprint(script | {"ear/report/page.j2": "other"}) != fingerprint(script)


@pytest.mark.parametrize(
    "statement",
    ["import ear.unused", "from ear import unused", "from ear.unused import A", "import os, ear.unused as u"],
)
def test_every_form_of_import_is_followed(fingerprint, statement):
    script = {"scripts/erase.py": f"def f():\n    if True:\n        {statement}\n"}
    assert fingerprint(script | {"ear/unused.py": "A = 2\n"}) != fingerprint(script)


def test_code_that_cannot_be_parsed_is_named_with_its_line(fingerprint):
    with pytest.raises(InputError, match=r"ear/late\.py:2: not Python") as caught:
        fingerprint({"ear/late.py": "now = 1\ndef (:\n"})
    assert "\n" not in str(caught.value)


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.py: not found"):
        code_fingerprint(tmp_path / "nowhere.py", tmp_path)


def test_reading_the_code_loads_none_of_it():
    code = (
        "import sys; from pathlib import Path; from ear.fingerprint import code_fingerprint\n"
        f"root = Path({str(REPOSITORY)!r})\n"
        "for script in (root / 'ear').rglob('*.py'): code_fingerprint(script, root)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'numpy', 'pandas'}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert run.stdout.strip() == ""
