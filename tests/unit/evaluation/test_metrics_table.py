import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ear.evaluation.columns import (
    DETECTION_COUNTS_CSV,
    DETECTIONS_CSV,
    METRICS_CSV,
    SCORES_CSV,
    TOP_K_CSV,
    VERDICTS_CSV,
    WINDOW_LENGTH_CSV,
)
from ear.evaluation.metrics_table import (
    Job,
    detection_table,
    lookup,
    mean_clip_score,
    metrics_table,
    score_row,
    top_k_table,
    window_table,
)
from ear.evaluation.statistics.intervals import Interval, bootstrap_mean, clustered_wilson, over_seeds, wilson
from ear.judges.nudenet import CLASSES
from ear.workflow.files import write_csv


def verdicts(seed, windows, protocol="p/1"):
    rng = np.random.default_rng(seed)
    rows = []
    for prompt_set, count in (("target", 12), ("retention", 10), ("general", 6)):
        for window in windows if prompt_set == "target" else windows[:1]:
            for number in range(count):
                name = "church" if prompt_set == "target" else "car"
                shown, seen = bool(rng.random() < 0.4), str(rng.choice(["church", "car"]))
                prompt = (f"church/{prompt_set}/{number:04d}", prompt_set, "a church", name, window)
                said = (shown, 0.5, 1 if shown else 2 + number, seen)
                rows.append((*prompt, *said, 100 * rng.random(), "clip-score/1", protocol))
    frame = VERDICTS_CSV.frame(rows)
    said = ["shown", "score", "rank", "top1_object", "protocol"]  # of general images no judge says anything
    frame[said] = frame[said].where(frame["prompt_set"] != "general")
    return frame


def scores(fid, kid):
    rows = [
        score_row("fid", "general", Interval(fid, np.nan, np.nan, 6), "f/1"),
        score_row("kid", "general", kid, "k/1"),
        score_row("bleu", "captions", Interval(fid / 2, fid / 2 - 1, fid / 2 + 1, 9), "b/1"),
    ]
    return SCORES_CSV.frame(rows)


NO_SCORES = SCORES_CSV.frame()


@pytest.fixture
def jobs():
    return [
        Job("church", "original", 0, None, verdicts(0, [0]), scores(10.0, Interval(0.1, 0.0, 0.2, 6))),
        Job("church", "ear_1", 0, 16, verdicts(1, [16, 4]), scores(20.0, Interval(0.2, 0.1, 0.3, 6))),
        Job("church", "ear_1", 1, 16, verdicts(2, [16, 4]), scores(30.0, Interval(0.4, 0.2, 0.6, 6))),
    ]


def own_targets(jobs):
    return [job.verdicts.query("window == 16 and prompt_set == 'target'") for job in jobs[1:]]


def test_retention_prompts_of_concepts_erased_by_the_same_weights_do_not_count():
    frame = verdicts(0, [16])
    retention = frame["prompt_set"] == "retention"
    frame.loc[retention, "prompt"] = ["a Church"] * 4 + ["a car"] * 6
    alone = metrics_table([Job("fire", "ear", 0, 16, frame, NO_SCORES)])
    joint = metrics_table([Job("fire", "ear", 0, 16, frame, NO_SCORES, also_erased=["church"])])
    counts = alone["n"].where(alone["prompt_set"] != "retention", 6)
    assert joint["n"].tolist() == counts.tolist()
    kept = frame[retention].iloc[4:]
    accuracy = lookup(joint, metric="accuracy", prompt_set="retention", seed="0")
    assert accuracy == wilson((kept["object"] == kept["top1_object"]).sum(), 6)
    target = joint["prompt_set"] == "target"  # which all name a church
    assert joint[target].equals(alone[target])


def test_neighbours_are_the_retention_prompts_of_the_two_closest_objects():
    original, erased = verdicts(0, [0]), verdicts(1, [16])
    retention = original["prompt_set"] == "retention"
    for frame in (original, erased):
        frame.loc[retention, "object"] = np.resize(["car", "barn", "tree", "castle", "boat"], 10)
    original.loc[retention, "score"] = np.resize([0.1, 0.6, 0.2, 0.7, 0.3], 10)
    jobs = [
        Job("church", "original", 0, None, original, NO_SCORES),
        Job("church", "ear", 0, 16, erased, NO_SCORES),
    ]
    near = erased[retention & erased["object"].isin(["barn", "castle"])]
    found = metrics_table(jobs)
    assert set(found.loc[found["prompt_set"] == "neighbours", "metric"]) == {"accuracy"}
    accuracy = lookup(found, method="ear", prompt_set="neighbours", seed="all")
    assert accuracy == wilson((near["object"] == near["top1_object"]).sum(), 4)


def test_a_second_judges_rate_stands_beside_the_first_where_there_is_one():
    frame = verdicts(1, [16]).assign(second_shown=np.random.default_rng(0).random(28) < 0.3)
    jobs = [
        Job("windmill", "ear", 0, 16, frame, NO_SCORES),
        Job("church", "ear", 0, 16, verdicts(3, [16]), NO_SCORES),
    ]
    found = metrics_table(jobs).query("metric == 'second_concept_rate'")
    assert set(found["concept"]) == {"windmill"}
    shown = frame.loc[frame["prompt_set"] == "target", "second_shown"]
    assert lookup(found, prompt_set="target", seed="0") == wilson(shown.sum(), 12)


def test_every_job_and_the_seeds_together_are_in_the_table_once(jobs):
    table = metrics_table(jobs)
    assert tuple(table.columns) == tuple(METRICS_CSV.columns)
    assert not table.duplicated(["concept", "method", "seed", "prompt_set", "metric"]).any()
    assert table.groupby("method", sort=False)["seed"].unique().map(list).to_dict() == {
        "original": ["0", "all"],
        "ear_1": ["0", "1", "all"],
    }
    assert len(table) == 5 * (2 * 3 + 1 + 3)  # of general images the CLIP score alone
    assert set(table.query("prompt_set == 'general'")["metric"]) == {"clip_score", "fid", "kid"}
    alone, together = (
        table.query(f"method == 'original' and seed == '{seed}'").drop(columns="seed")
        for seed in ("0", "all")
    )
    pd.testing.assert_frame_equal(alone.reset_index(drop=True), together.reset_index(drop=True))


def test_seeds_together_are_the_mean_over_seeds_at_the_methods_own_window(jobs):
    own = own_targets(jobs)
    names = {"concept": "church", "method": "ear_1", "prompt_set": "target"}
    table = metrics_table(jobs)
    seeds = [lookup(table, **names, seed=seed, metric="concept_rate") for seed in ("0", "1")]
    assert seeds == [wilson(int(frame["shown"].sum()), 12) for frame in own]
    images = pd.concat(own)
    together = lookup(table, **names, seed="all", metric="concept_rate")
    prompts = clustered_wilson(images["shown"], images["prompt_id"])
    assert together == over_seeds(seeds, prompts, (0, 1)) and together.n == 24
    clip = lookup(table, **names, seed="all", metric="clip_score")
    prompts = mean_clip_score(images)
    assert clip.value == pytest.approx(prompts.value)
    assert 0 <= clip.low <= prompts.low and prompts.high <= clip.high <= 100


def test_scores_of_sets_are_averaged_over_seeds(jobs):
    bare = Job("nudity", "original", 0, None, jobs[0].verdicts, NO_SCORES)
    table = metrics_table([bare, *jobs])
    assert not set(table.loc[table["concept"] == "nudity", "metric"]) & {"fid", "kid", "bleu"}
    names = {"concept": "church", "method": "ear_1", "seed": "all"}
    fid = lookup(table, **names, metric="fid")
    assert fid.value == 25 and np.isnan(fid.low) and np.isnan(fid.high) and fid.n == 12
    kid = lookup(table, **names, metric="kid")
    half = np.hypot(0.15, stats.t.ppf(0.975, 1) * 0.1)  # mean of the seeds' half-widths; 0.2 and 0.4
    assert kid == pytest.approx((0.3, 0.3 - half, 0.3 + half, 12))
    bleu = lookup(table, **names, metric="bleu")
    assert bleu.value == 12.5 and 0 <= bleu.low < 2


def test_window_table_has_every_window_of_the_erasing_methods(jobs):
    table = window_table(jobs)
    assert set(table["method"]) == {"ear_1"}
    assert table["window"].tolist() == [4, 4, 16, 16] * 3
    images = [job.verdicts.query("window == 4") for job in jobs[1:]]
    seeds = [wilson(int(rows["shown"].sum()), 12) for rows in images]
    together = pd.concat(images)
    row = lookup(table, seed="all", window="4", metric="concept_rate")
    assert row == over_seeds(seeds, clustered_wilson(together["shown"], together["prompt_id"]), (0, 1))
    assert tuple(window_table(jobs[:1]).columns) == tuple(WINDOW_LENGTH_CSV.columns)


def test_top_k_is_the_share_of_ranks_up_to_k_at_the_methods_own_window(jobs):
    jobs[0].verdicts["rank"] = np.nan  # a judge that does not rank
    table = top_k_table(jobs)
    assert set(table["method"]) == {"ear_1"}
    assert table["k"].tolist() == list(range(1, 11)) * 3
    own = own_targets(jobs)
    together = pd.concat(own)
    for k in (1, 3, 10):
        seeds = [wilson(int((frame["rank"] <= k).sum()), 12) for frame in own]
        assert [lookup(table, seed=seed, k=str(k)) for seed in ("0", "1")] == seeds
        prompts = clustered_wilson(together["rank"] <= k, together["prompt_id"])
        assert lookup(table, seed="all", k=str(k)) == over_seeds(seeds, prompts, (0, 1))
    assert tuple(top_k_table(jobs[:1]).columns) == tuple(TOP_K_CSV.columns)


PROTOCOL = "nudenet-3.4.2-320n-0.2/1"


def detections(prompt_set, window, counts):
    """As many detections of a class as ``counts`` says, prompt number by prompt number."""
    rows = [
        (f"church/{prompt_set}/{number:04d}", prompt_set, window, name, 0.5, 0, 0, 9, 9)
        for (name, number), count in counts.items()
        for _ in range(count)
    ]
    return DETECTIONS_CSV.frame(rows)


@pytest.fixture
def nude():
    belly, feet = "BELLY_EXPOSED", "FEET_EXPOSED"
    of_erased = [
        detections("target", 16, {(belly, 0): 1}),
        detections("target", 4, {(belly, 1): 9}),
        detections("general", 16, {(feet, 2): 7}),
    ]
    found = [
        detections("target", 0, {(belly, 0): 2, (belly, 3): 1, (feet, 5): 1, ("FACE_FEMALE", 1): 4}),
        pd.concat(of_erased),
        detections("target", 16, {(belly, 2): 2, (belly, 5): 1}),
    ]
    return [
        Job("nudity", "original", 0, None, verdicts(0, [0], PROTOCOL), NO_SCORES, found[0]),
        Job("nudity", "ear", 0, 16, verdicts(1, [16, 4], PROTOCOL), NO_SCORES, found[1]),
        Job("nudity", "ear", 1, 16, verdicts(2, [16, 4], PROTOCOL), NO_SCORES, found[2]),
    ]


def test_detections_are_counted_by_class_on_the_target_images_of_the_own_window(jobs, nude):
    table = detection_table([*jobs, *nude])
    assert set(table["concept"]) == {"nudity"}  # only detectors have rows
    assert tuple(table.columns) == tuple(DETECTION_COUNTS_CSV.columns)
    assert table["class"].tolist() == list(CLASSES) * (2 + 3)
    assert set(table["n"]) == {12}
    counts = {
        (method, seed): lookup(table, method=method, seed=seed, **{"class": "BELLY_EXPOSED"})
        for method, seed in (("original", "0"), ("ear", "0"), ("ear", "1"), ("ear", "all"))
    }
    assert [round(found.value, 9) for found in counts.values()] == [3, 1, 3, 2]
    prompts = [f"{number:02d}" for number in range(12)]
    alone = bootstrap_mean([2, 0, 0, 1] + [0] * 8, clusters=prompts)
    assert counts["original", "0"] == pytest.approx((3, 12 * alone.low, 12 * alone.high, 12))
    together = bootstrap_mean([1] + [0] * 11 + [0, 0, 2, 0, 0, 1] + [0] * 6, clusters=prompts * 2)
    spread = stats.t.ppf(0.975, 1) * np.std([1, 3], ddof=1) / np.sqrt(2)
    assert counts["ear", "all"].low == 0  # not below
    assert counts["ear", "all"].high == pytest.approx(2 + np.hypot(12 * together.high - 2, spread))
    feet = lookup(table, method="ear", seed="0", **{"class": "FEET_EXPOSED"})
    assert feet.value == 0 and feet.low == 0
    assert feet.high == pytest.approx(12 * wilson(0, 12).high)  # none seen is not none at all
    nothing = Job("nudity", "original", 0, None, verdicts(0, [0], PROTOCOL), NO_SCORES)
    assert detection_table([nothing])["value"].tolist() == [0] * 18


def test_tables_read_back_from_disk_give_the_same_bytes(jobs, nude, tmp_path):
    again = []
    for job in (*jobs, *nude):
        for name, frame in (("v", job.verdicts), ("s", job.scores), ("d", job.detections)):
            write_csv(tmp_path / name, frame)
        read = (
            VERDICTS_CSV.read(tmp_path / "v"),
            SCORES_CSV.read(tmp_path / "s"),
            DETECTIONS_CSV.read(tmp_path / "d"),
        )
        again.append(Job(job.concept, job.method, job.seed, job.window, *read))
    for table in (metrics_table, top_k_table, detection_table):
        for name, given in (("first", [*jobs, *nude]), ("second", again)):
            write_csv(tmp_path / name, table(given))
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
