"""What a change makes Snakemake run again: a test for each row of docs/reference/reruns.md, on a finished smoke run."""

import os
import random
import re
import shlex
import shutil
from contextlib import contextmanager

import pytest

from tests.workflow.repository import (
    ROOT,
    SMOKE,
    config_of,
    copy_of_the_repository,
    planned_counts,
    snakemake,
    write_config,
)

REPORT = {"write_report": 1}
AXES = {f"plot_{name}": 1 for name in ("attacks", "prefix", "sweeps", "relearning", "understanding")}
RATES = {f"plot_{name}": 1 for name in ("concept_rate", "tradeoff", "window_length", "score_card")} | AXES
TABLES = {"tabulate": 1} | RATES | REPORT
SHOWN = {"plot_overview": 1, "plot_samples": 1} | TABLES
# The smoke experiment: a concept, a method that trains, a seed, two shards; original and negative-prompt train nothing.
MEASURED = {"render_images": 2, "evaluate": 1, "attack": 1} | SHOWN
TRAINED = {"erase": 1, "plot_training": 1} | MEASURED
ALL_IMAGES = {"render_images": 4, "render_original": 1, "evaluate": 3} | SHOWN
ALL_DRAWN = {"attack": 3, "render_targets": 1} | ALL_IMAGES
FILTERED = {"filter_pairs": 1, "tabulate_pairs": 1, "plot_filter_scores": 1, "plot_borderline": 1}
JUDGED = {"evaluate": 3} | FILTERED | SHOWN  # attacks ask the first judge alone
FROM_FILTERED = {"sample_sequences": 1} | FILTERED | TRAINED
OF_CONCEPT = {"render_pairs": 1} | FROM_FILTERED
# The second judge is calibrated on the pairs' images, and looks at all of the concept's others.
FROM_IMAGES = OF_CONCEPT | {"calibrate_judge": 1, "evaluate": 3}
# The original is given beginnings of the pairs' unsafe images.
FROM_PAIRS = {"render_original": 1} | FROM_IMAGES
FROM_BACKBONE = FROM_IMAGES | ALL_DRAWN | {"render_general": 2}
FIGURES = {
    f"plot_{name}": 1 for name in ("borderline", "filter_scores", "overview", "samples", "training")
} | RATES
OWN_PROMPTS = {"ask": 1, "make_pairs": 1, "make_prompts": 1}
FROM_PROMPTS = FROM_BACKBONE | OWN_PROMPTS | {"draw_held_out": 1, "extract_features": 1}
BOAT = {
    "kind": "object",
    "words": "boat",
    "judge": {"by": "classifier", "group": "object", "label": "boat", "top_k": 1},
    "window": 4,
}

KEYS = {
    "a concept's window": ("concepts.church.window", 8, TRAINED),
    "η": ("erasure.eta", 0.5, TRAINED),
    "μ": ("erasure.threshold", {"value": 0.05}, TRAINED),
    "a window length in the sweep": ("erasure.windows", [4, 8, 16], TRAINED),
    "a sweep less": ("methods.ear.sweep", False, TRAINED),
    "a method more": ("methods.wga", {"variant": "wga"}, TRAINED),
    "a method less": ("methods.negative-prompt", None, SHOWN),
    "a method's own key": ("methods.negative-prompt.strength", 2.0, MEASURED),
    "a concept more": ("concepts.boat", BOAT, OWN_PROMPTS | OF_CONCEPT | ALL_DRAWN),
    "a seed more": (
        "seeds",
        [0, 1],
        {"sample_sequences": 1, "erase": 1, "render_images": 2, "evaluate": 1, "attack": 1} | TABLES,
    ),
    "more pairs": ("prompts.sources.grammar.pairs", 32, {"ask": 1, "make_pairs": 1} | FROM_PAIRS),
    "more target or retention prompts": ("prompts.target", 12, {"make_prompts": 1} | ALL_DRAWN),
    "more general prompts": (
        "utility.general",
        12,
        {"draw_held_out": 1, "extract_features": 1, "make_prompts": 1, "render_general": 2} | ALL_DRAWN,
    ),
    "the judge's threshold or k": ("concepts.church.judge.top_k", 2, {"attack": 3} | JUDGED),
    "a zero-shot judge's phrases": (
        "concepts.church.second_judge.positive",
        ["a steeple"],
        {"calibrate_judge": 1} | JUDGED,
    ),
    "whether the filter drops": ("filter.drop", True, FROM_FILTERED),
    "guidance or temperature": ("sampling.temperature", 0.5, FROM_BACKBONE),
    "rows of the sample figure": ("evaluation.sample_rows", 1, {"plot_samples": 1} | REPORT),
    "the number of shards": ("rendering.shards", 3, ALL_IMAGES | {"render_general": 3, "render_images": 6}),
    "the batch size": ("rendering.batch_size", 5, REPORT),
    "the experiment's seed": ("seed", 8, FROM_PROMPTS),
}
FILES = {
    "a line of a concept's pairs": ("results/smoke/prompts/church/candidates.csv", FROM_PAIRS),
    "a line of its evaluation prompts": ("results/smoke/prompts/church/evaluation.csv", ALL_DRAWN),
}
MODELS = {
    "the mini backbone's entry in `assets.yaml`": ("mini-backbone", FROM_BACKBONE),
    "the mini classifier's": ("mini-classifier", {"extract_features": 1, "attack": 3} | JUDGED),
}
MODULES = {
    "the style of all figures": ("ear/report/style.py", FIGURES | REPORT),
    "one figure": ("ear/report/figures/tradeoff.py", {"plot_tradeoff": 1} | REPORT),
    "a metric": ("ear/evaluation/metrics/answers.py", {"evaluate": 3} | SHOWN),
    "the training loop": ("ear/erasure/trainer.py", TRAINED),
    "the report's page": ("ear/report/page.py", REPORT),
    "a caption of the report": ("report/tradeoff.rst", REPORT),
}
REMARKS = {
    "a comment": lambda text: "# a remark\n" + text,
    "a docstring": lambda text: text.replace('"""', '"""A remark. ', 1),
}
OTHERS = {
    "a file below `results/` deleted or damaged",
    "the times of files",
    "a copy without times, all code touched, the clock set back",
    "another branch and back",
    "another folder or a fresh clone",
    "a key after moving to another clone",
}


def planned(folder, *arguments):
    """Rule → number of jobs that a dry run of the smoke experiment, or of another config, would execute."""
    return planned_counts(folder, *(arguments or SMOKE))


@contextmanager
def edited(path, edit):
    """A file with other content inside of the block, and as it was after it."""
    text, times = path.read_text(), path.stat()
    try:
        path.write_text(edit(text))
        yield
    finally:
        path.write_text(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def with_key(place, key, value):
    """The smoke experiment's config with one key set, or taken out where the value is None."""
    config = config_of("smoke")
    *parents, last = key.split(".")
    node = config
    for name in parents:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return write_config(place / "changed.yaml", config)


def another_word(text):
    """A table with a word more in its first row."""
    header, row, *rows = text.splitlines()
    return "\n".join([header, row.replace("church", "church indeed", 1), *rows]) + "\n"


def test_every_row_of_the_table_has_a_test():
    table = (ROOT / "docs/reference/reruns.md").read_text()
    rows = re.findall(r"^\| (.+?) \|", table, flags=re.MULTILINE)[1:]
    assert sorted(rows) == sorted([*KEYS, *FILES, *MODELS, *MODULES, *REMARKS, *OTHERS])


@pytest.mark.parametrize(("key", "value", "jobs"), KEYS.values(), ids=KEYS)
def test_a_key_of_the_config(done, tmp_path, key, value, jobs):
    assert planned(done, *with_key(tmp_path, key, value)) == jobs


@pytest.mark.parametrize(("file", "jobs"), FILES.values(), ids=FILES)
def test_a_line_of_a_table(done, file, jobs):
    with edited(done / file, another_word):
        assert planned(done) == jobs
    assert planned(done) == {}


@pytest.mark.parametrize(("model", "jobs"), MODELS.values(), ids=MODELS)
def test_another_model(done, model, jobs):
    with edited(
        done / "assets.yaml",
        lambda text: text.replace(f"{model}:\n  title: ", f"{model}:\n  title: another "),
    ):
        assert planned(done) == {"fetch_asset": 1} | jobs


@pytest.mark.parametrize(("file", "jobs"), MODULES.values(), ids=MODULES)
def test_a_file_of_the_code(done, file, jobs):
    with edited(done / file, lambda text: f"{text}\nassert True\n"):  # a statement that always runs
        assert planned(done) == jobs


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
def test_a_remark_in_a_module_of_all_jobs(done, remark):
    with edited(done / "ear/workflow/files.py", remark):
        assert planned(done) == {}


def test_a_copy_with_odd_times_whose_code_is_touched_and_whose_clock_is_set_back(done, tmp_path):
    order = random.Random(7)
    for copied in (shutil.copy2, shutil.copy):  # with times, then without
        copy = shutil.copytree(done, tmp_path / copied.__name__, symlinks=True, copy_function=copied)
        for path in (path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()):
            moment = path.stat().st_mtime + order.uniform(0, 3600)
            if "results" not in path.parts:
                path.touch()
            elif copied is shutil.copy2:
                os.utime(path, (moment, moment))
            elif order.random() < 0.5:  # written while the clock was wrong
                os.utime(path, (10**9, 10**9))
        assert planned(copy) == {}


def test_another_branch_and_back(done):
    with (
        edited(done / "ear/erasure/trainer.py", lambda code: f"{code}\nCHANGED = True\n"),
        edited(done / "configs/smoke.yaml", lambda text: text.replace("eta: ", "eta: 1")),
    ):
        assert planned(done)
    assert planned(done) == {}


def test_a_file_deleted_or_damaged(own):
    """Snakemake does not miss them; verification does, and its command brings the same bytes back."""
    run = own / "results/smoke/images/church/ear/seed0"
    image, damaged = run / "shard0/church-target-0000-W4.png", run / "shard1/manifest.csv"
    before = {path: path.read_bytes() for path in (image, damaged)}
    image.unlink()
    times = damaged.stat()
    damaged.write_bytes(before[damaged].replace(b"church", b"chapel", 1))
    os.utime(damaged, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert planned(own) == {}
    found = snakemake(own, "verify", *SMOKE, check=False)
    assert found.returncode == 1
    commands = [
        line.partition("to repair: ")[2] for line in found.stdout.splitlines() if "to repair: " in line
    ]
    assert commands[-1] == "snakemake --configfile configs/smoke.yaml" and len(commands) == 2
    snakemake(own, *shlex.split(commands[0])[1:])
    assert {path: path.read_bytes() for path in before} == before


def test_a_fresh_clone_and_a_key_after_moving_to_it(own, tmp_path):
    clone = copy_of_the_repository(tmp_path / "clone")
    shutil.move(own / "results", clone / "results")
    assert planned(clone) == {}  # what Snakemake knows of the jobs is left behind
    shutil.rmtree(clone / ".snakemake")
    shutil.move(own / ".snakemake", clone / ".snakemake")
    assert planned(clone) == {}
    assert planned(clone, *with_key(tmp_path, "erasure.eta", 0.5)) == TRAINED
