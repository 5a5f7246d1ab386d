"""A concept of one's own, judged without a classifier, and two concepts in one set of edited weights: what would run."""

import pytest

from tests.own_concept import blocks, with_own_concept
from tests.workflow.repository import copy_of_the_repository, dry_run, planned_counts, write_config

JOINT = "results/mini/erasure/church+van-gogh/ear-together/seed0/windows.csv"
OWN = ["--configfile", "own.yaml"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The repository, and in it own.yaml: the default experiment as the page changes it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("own") / "repository")
    write_config(folder / "own.yaml", with_own_concept())
    return folder


def test_a_fourth_concept_and_joint_weights_are_a_few_jobs_more(repository):
    assert len(blocks()[0].splitlines()) <= 10
    mini, own = planned_counts(repository), planned_counts(repository, *OWN)
    methods = 3  # of the mini experiment, the original among them
    together = 2  # concepts of the joint edited weights
    once = ["ask", "make_pairs", "make_prompts", "render_pairs", "calibrate_judge", "filter_pairs"]
    once += ["render_targets", "render_original", "plot_borderline", "plot_samples", "plot_training"]
    wanted = dict.fromkeys(once, 1) | {"sample_sequences": 2, "erase": methods - 1 + 1}
    wanted |= {"render_images": methods - 1 + together, "evaluate": methods + together}
    more = {rule: count - mini.get(rule, 0) for rule, count in own.items()}
    assert {rule: count for rule, count in more.items() if count} == wanted


def test_joint_weights_are_made_once_from_the_sequences_of_both(repository):
    text = dry_run(repository, JOINT, *OWN)
    for concept in ("church", "van-gogh"):
        assert f"results/mini/erasure/{concept}/sequences/seed0/aligned-chat.safetensors" in text
    assert text.count("\nerase church+van-gogh · ") == 1
    alone = dry_run(repository, JOINT.replace("church+van-gogh", "church"), *OWN, check=False)
    assert "found church, wanted church+van-gogh" in alone
