"""A concept of one's own, judged without a classifier, and two concepts in one set of edited weights: what would run."""

import pytest
import yaml

from tests.own_concept import blocks, with_own_concept
from tests.workflow.repository import copy_of_the_repository, planned_counts, snakemake

JOINT = "results/mini/erasure/church+van-gogh/ear-together/seed0/windows.csv"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The repository, and in it own.yaml: the default experiment as the page changes it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("own") / "repository")
    (folder / "own.yaml").write_text(yaml.safe_dump(with_own_concept(), sort_keys=False))
    return folder


def test_the_page_shows_ten_lines():
    assert len(blocks()[0].splitlines()) <= 10


def test_a_fourth_concept_and_a_common_adapter_are_a_few_jobs_more(repository):
    mini, own = planned_counts(repository), planned_counts(repository, "--configfile", "own.yaml")
    methods = 3  # of the mini experiment, the original among them
    together = 2  # concepts of the joint edited weights
    more = {rule: count - mini.get(rule, 0) for rule, count in own.items()}
    once = ["ask_grammar", "make_pairs", "make_prompts", "render_pairs", "calibrate_judge", "filter_pairs"]
    once += [
        "render_targets",
        "render_original",
        "plot_borderline",
        "plot_samples",
        "plot_training",
    ]
    wanted = dict.fromkeys(once, 1) | {"sample_sequences": 2, "erase": methods - 1 + 1}
    wanted |= {"render_images": methods - 1 + together, "evaluate": methods + together}
    assert {rule: count for rule, count in more.items() if count and rule != "total"} == wanted


def test_the_common_adapter_is_made_once_from_the_streams_of_both(repository):
    own = ["--configfile", "own.yaml", "--dry-run"]
    run = snakemake(repository, JOINT, *own)
    text = run.stdout + run.stderr
    for concept in ("church", "van-gogh"):
        assert f"results/mini/erasure/{concept}/sequences/seed0/aligned-chat.safetensors" in text
    assert text.count("\nerase church+van-gogh · ") == 1
    alone = JOINT.replace("church+van-gogh", "church")
    wrong = snakemake(repository, alone, *own, check=False)
    assert wrong.returncode != 0
    assert "found church, wanted church+van-gogh" in wrong.stdout + wrong.stderr
