"""Rules of the house that hold for the repository as a whole."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDERS = ("ear", "scripts", "rules", "tests")
WORKFLOW = [ROOT / "Snakefile", *sorted(ROOT.glob("rules/*.smk"))]
HEAVY = "torch|torchvision|transformers|timm|open_clip|cleanfid"


def python_files(*folders):
    return [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]


def relative(path):
    return str(path.relative_to(ROOT))


def pins(lines):
    """Requirement lines ``name==version ; marker`` without hashes, comments and indentation."""
    return [line.strip(" -\\\n") for line in lines if re.match(r"^(      - )?[\w.-]+==", line)]


@pytest.fixture(scope="module")
def lock():
    return (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def test_the_lock_names_no_address(lock):
    found = [line for line in lock if re.search(r"://|^--|\s@\s|\bfile:", line.replace("--hash=sha256:", ""))]
    assert found == []


def test_every_package_in_the_lock_has_an_exact_version_and_hashes(lock):
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in lock if not line.lstrip().startswith("#")))
    assert len(blocks) > 100
    for block in blocks:
        assert re.match(r"[\w.-]+==[\w.!+-]+( ; .*)? \\\n", block), block[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]


def test_the_conda_environment_has_the_pins_of_the_lock(lock):
    text = (ROOT / "envs" / "ear.yaml").read_text(encoding="utf-8")
    environment = pins(text.splitlines())
    assert yaml.safe_load(text)["dependencies"][-1]["pip"] == environment
    assert set(environment) <= set(pins(lock)), "run `make lock`"
    with open(ROOT / "pyproject.toml", "rb") as handle:
        dependencies = tomllib.load(handle)["project"]["dependencies"]
    direct = {re.match(r"[\w.-]+", item)[0].lower() for item in dependencies}
    assert direct <= {line.partition("==")[0] for line in environment}, "run `make lock`"


def test_files_are_short_and_scripts_thin():
    for files, longest in ((WORKFLOW + python_files(*FOLDERS), 400), (python_files("scripts"), 60)):
        lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
        assert {name: length for name, length in lengths.items() if length > longest} == {}


def test_the_workflow_starts_fast():
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOW)
    assert re.findall(rf"^\s*(?:import|from) (?:{HEAVY})\b.*", text, re.MULTILINE) == []
    assert re.findall(r"^\s+run:.*", text, re.MULTILINE) == []  # each would start Snakemake anew


def test_the_library_knows_neither_config_nor_paths():
    # A rule's fingerprint follows imports: a change of the config's schema would rerun every job.
    taken = re.compile(r"^\s*(?:from|import) (?:ear\.|ear import .*)\b(?:config|paths)\b", re.MULTILINE)
    # Plan, check and verification are of the config itself; no rule that makes results reaches them.
    own = [ROOT / name for name in ("ear/config", "ear/commands")]
    own += [ROOT / f"scripts/commands_{name}.py" for name in ("plan", "check", "verify")]
    files = [
        path
        for path in python_files("ear", "scripts")
        if not any(path.is_relative_to(place) for place in own)
    ]
    assert [relative(path) for path in files if taken.search(path.read_text(encoding="utf-8"))] == []


def test_every_rule_has_a_message():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOW)
    rules = re.split(r"^ *rule (?=\w+:$)", text, flags=re.MULTILINE)[1:]
    assert len(rules) > 30
    assert [rule.split(":")[0] for rule in rules if not re.search(r"^ +message:$", rule, re.MULTILINE)] == []
