import subprocess
import sys
from pathlib import Path

import pytest

from ear.errors import InputError
from ear.workflow.fingerprint import code_fingerprint

REPOSITORY = Path(__file__).parents[3]

TREE = {
    "scripts/erasure_erase.py": "from ear.erasure.trainer import train\n\ntrain()\n",
    "ear/__init__.py": '"""The package."""\n',
    "ear/errors.py": "class InputError(ValueError):\n    pass\n",
    "ear/unused.py": "A = 1\nB = 1\n",
    "ear/erasure/__init__.py": "",
    "ear/erasure/trainer.py": (
        "from . import windows\nfrom ..errors import InputError\n\n\n"
        "def train():\n    from ear.late import now\n\n    return check(now(windows.LENGTH))\n\n\n"
        "def check(value):\n    if value < 0:\n        raise InputError(value)\n    return value\n\n\n"
        "def stop():\n    return 1\n"
    ),
    "ear/erasure/windows.py": "import ear.erasure.trainer\n\nLENGTH = 8  # tokens\n",
    "ear/late.py": "def now(value):\n    return value\n",
    "ear/report/__init__.py": "",
    "ear/report/page.j2": "<h1>{{ title }}</h1>\n",
}


@pytest.fixture
def fingerprint(tmp_path):
    """Fingerprint of scripts/erasure_erase.py in a fresh copy of TREE with some files changed."""
    copies = iter(range(100))

    def of(changes=None, modules=()):
        root = tmp_path / str(next(copies))
        for name, text in (TREE | (changes or {})).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return code_fingerprint(root / "scripts/erasure_erase.py", root, modules)

    return of


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ear/__init__.py", TREE["ear/__init__.py"]),  # the place of the repository
        ("ear/__init__.py", '"""Other words."""\n'),
        (
            "ear/erasure/windows.py",
            "import ear.erasure.trainer\n\n\n# in image tokens\nLENGTH = (\n    8\n)\n",
        ),
        ("ear/erasure/windows.py", 'import ear.erasure.trainer\nLENGTH = 8\n"""Words below a field."""\n'),
        ("ear/late.py", 'def now(value):\n    """Say it.\n\n    At length.\n    """\n    return value\n'),
    ],
)
def test_place_comments_docstrings_and_formatting_do_not_count(fingerprint, name, text):
    assert fingerprint({name: text}) == fingerprint()


TRAINER = TREE["ear/erasure/trainer.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scripts/erasure_erase.py", "from ear.erasure.trainer import train\n\ntrain(1)\n"),
        ("ear/__init__.py", "import os\n\nos.umask(7)\n"),  # runs when anything of the package is imported
        ("ear/erasure/trainer.py", TRAINER + "\nprint(1)\n"),
        ("ear/erasure/trainer.py", TRAINER.replace("value < 0", "value < 1")),  # used by what is imported
        ("ear/erasure/trainer.py", TRAINER + "\ncheck = abs\n"),  # bound twice
        ("ear/erasure/windows.py", "import ear.erasure.trainer\n\nLENGTH = 9\n"),  # from . import
        ("ear/errors.py", "class InputError(Exception):\n    pass\n"),  # from ..errors import
        ("ear/late.py", "def now(value):\n    return -value\n"),  # imported inside a function
        ("ear/late.py", "from ear.errors import InputError as now\n"),  # handed on by another module
    ],
)
def test_an_edit_in_reached_code_counts(fingerprint, name, text):
    assert fingerprint({name: text}) != fingerprint()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ear/unused.py", "A = 2\n"),
        ("ear/report/page.j2", "other"),
        ("ear/erasure/trainer.py", TRAINER.replace("return 1", "return 2")),  # beside what is imported
        ("ear/erasure/trainer.py", TRAINER + "\nmore = 1\n"),
        ("ear/late.py", "import os\n\n" + TREE["ear/late.py"]),
    ],
)
def test_an_edit_elsewhere_does_not_count(fingerprint, name, text):
    assert fingerprint({name: text}) == fingerprint()


def test_a_template_counts_where_a_module_beside_it_is_reached(fingerprint):
    script = {"scripts/erasure_erase.py": "from ear import report\n\nprint(report)\n"}
    assert fingerprint(script | {"ear/report/page.j2": "other"}) != fingerprint(script)


@pytest.mark.parametrize(
    "use",
    [
        "import ear.unused\nprint(ear.unused.A)",
        "from ear import unused\nprint(unused.A)",
        "from ear.unused import A\nprint(A)",
        "import os, ear.unused as u\nprint(u.A.real)",
    ],
)
def test_every_form_of_import_is_followed_to_the_name_that_is_used(fingerprint, use):
    lines = use.replace("\n", "\n    ")
    script = {"scripts/erasure_erase.py": f"def f():\n    {lines}\n"}
    assert fingerprint(script | {"ear/unused.py": "A = 2\nB = 1\n"}) != fingerprint(script)
    assert fingerprint(script | {"ear/unused.py": "A = 1\nB = 2\n"}) == fingerprint(script)


def test_a_module_that_is_used_as_an_object_or_named_by_a_rule_counts_as_a_whole(fingerprint):
    changed = {"ear/unused.py": "A = 1\nB = 2\n"}
    script = {"scripts/erasure_erase.py": "from ear import unused\n\nprint(getattr(unused, 'A'))\n"}
    assert fingerprint(script | changed) != fingerprint(script)
    assert fingerprint(changed, ["ear.unused"]) != fingerprint({}, ["ear.unused"])


def test_code_that_cannot_be_parsed_is_named_with_its_line(fingerprint):
    with pytest.raises(InputError, match=r"ear/late\.py:2: found a syntax error") as caught:
        fingerprint({"ear/late.py": "now = 1\ndef (:\n"})
    assert "\n" not in str(caught.value)


def test_reading_the_code_loads_none_of_it():
    code = (
        "import sys; from pathlib import Path; from ear.workflow.fingerprint import code_fingerprint\n"
        "code_fingerprint(Path('scripts/erasure_erase.py').resolve(), Path.cwd())\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'numpy', 'pandas'}))"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stdout.strip() == ""
