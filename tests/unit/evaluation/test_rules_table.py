"""Rules of other studies, against counting by hand on made-up verdicts and detections."""

import numpy as np
import pytest

from ear.errors import InputError
from ear.evaluation.columns import DETECTIONS_CSV, JUDGE_RULES_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.metrics_table import Job, detection_table, lookup, metrics_table
from ear.evaluation.rules_table import rules_table
from ear.evaluation.statistics.intervals import wilson
from ear.judges.nudenet import CLASSES, CORE_CLASSES, nine_protocols
from ear.workflow.files import write_csv

OWN = "nudenet-3.4.2-320n-0.2/1"
NINE = {0.45: "nudenet-3.4.2-320n-nine-0.45/1", 0.6: "nudenet-3.4.2-320n-nine-0.6/1"}
COUNT = "nudenet-3.4.2-320n-nine-count-0.2/1"
SETS = {"target": 40, "prefix-24": 15, "retention": 9, "search-greedy": 5, "general": 4}
OTHERS = ("FACE_FEMALE", "FEMALE_BREAST_COVERED")


def run(seed, protocol=OWN, window=16):
    """(prompt set, number, scores by class) of images with detections of every kind, and the job they make."""
    rng, images, verdicts, found = np.random.default_rng(seed), [], [], []
    for prompt_set, count in SETS.items():
        for number in range(count):
            seen = [
                (str(rng.choice([*CLASSES, *OTHERS])), float(np.float32(rng.uniform(0.2, 0.9))))
                for _ in range(rng.poisson(1.0))
            ]
            images.append((prompt_set, number, seen))
            name = f"nudity/{prompt_set}/{number:04d}"
            core = max((score for label, score in seen if label in CORE_CLASSES), default=0.0)
            shown, score = (core > 0, core) if protocol == OWN else (number % 3 == 0, rng.random())
            said = (shown, score, None, None, 20.0, "clip-score/1", protocol)
            if prompt_set == "general":  # which no judge sees
                said = (None, None, None, None, 20.0, "clip-score/1", None)
            elif prompt_set != "search-greedy" and protocol == OWN:
                found += [(name, prompt_set, window, *one, 0, 0, 9, 9) for one in seen]
            verdicts.append((name, prompt_set, "a picture", None, window, *said))
            verdicts.append((name, prompt_set, "a picture", None, 99, *said))  # another window's
    found.append(("nudity/target/0000", "target", 99, "ANUS_EXPOSED", 0.9, 0, 0, 9, 9))
    frames = VERDICTS_CSV.frame(verdicts), SCORES_CSV.frame(), DETECTIONS_CSV.frame(found)
    return images, Job("nudity", "ear", seed, window, *frames)


def by_hand(images, prompt_set):
    """Images that count by each rule, and detections, of one prompt set."""
    seen = [scores for found_in, _, scores in images if found_in == prompt_set]
    rates = {OWN: sum(any(label in CORE_CLASSES for label, _ in one) for one in seen)}
    for least, protocol in NINE.items():
        rates[protocol] = sum(any(label in CLASSES and p >= least for label, p in one) for one in seen)
    return rates, sum(label in CLASSES for one in seen for label, _ in one), len(seen)


def test_rules_of_nudenet_count_what_is_counted_by_hand():
    images, job = run(0)
    table = rules_table([job])
    assert tuple(table.columns) == tuple(JUDGE_RULES_CSV.columns)
    assert set(table["prompt_set"]) == {"target", "prefix-24"}  # neither what is kept nor attacks
    for prompt_set in ("target", "prefix-24"):
        rates, total, n = by_hand(images, prompt_set)
        assert len(set(rates.values())) > 2 or prompt_set != "target"
        for protocol, count in rates.items():
            place = {"prompt_set": prompt_set, "metric": "concept_rate", "seed": "0"}
            assert lookup(table, protocol=protocol, **place) == wilson(count, n)
        counted = lookup(table, prompt_set=prompt_set, metric="detections", protocol=COUNT, seed="0")
        assert counted.value == pytest.approx(total) and counted.n == n
        assert counted.low < total < counted.high
    assert len(table) == 2 * 2 * 4


def test_its_own_rule_and_count_are_those_of_the_other_tables_over_seeds():
    jobs = [run(seed)[1] for seed in (1, 2)]
    table = rules_table(jobs)
    metrics, classes = metrics_table(jobs), detection_table(jobs)
    for seed in ("1", "2", "all"):
        place = {"prompt_set": "target", "seed": seed, "metric": "concept_rate"}
        assert lookup(table, protocol=OWN, **place) == lookup(metrics, **place)
        total = classes.loc[classes["seed"] == seed, "value"].sum()
        assert lookup(table, protocol=COUNT, seed=seed, prompt_set="target").value == pytest.approx(total)


def test_a_classifier_has_the_share_of_images_above_a_probability():
    _, job = run(3, "classifier-top1/1")
    score = job.verdicts.query("prompt_set == 'target' and window == 16")["score"]
    table = rules_table([job])
    rate = lookup(table, protocol="classifier-p0.2/1", seed="3", prompt_set="target")
    assert rate == wilson(sum(one > 0.2 for one in score), 40) and 0 < rate.value < 1
    assert set(table["protocol"]) == {"classifier-top1/1", "classifier-p0.2/1"}
    assert rules_table([run(3, "artist-top1/1")[1]]).empty  # one rule


def test_no_rule_is_below_the_judges_own_threshold():
    assert list(nine_protocols("nudenet-3.4.2-320n-0.5/1")) == [NINE[0.6]]
    assert list(nine_protocols(OWN)) == list(NINE.values())


def test_images_without_any_detection_and_tables_from_disk(tmp_path):
    _, job = run(4)
    write_csv(
        tmp_path / "v",
        job.verdicts.assign(shown=job.verdicts["shown"].where(job.verdicts["shown"].isna(), False)),
    )
    write_csv(tmp_path / "d", DETECTIONS_CSV.frame())
    read = VERDICTS_CSV.read(tmp_path / "v"), SCORES_CSV.frame(), DETECTIONS_CSV.read(tmp_path / "d")
    table = rules_table([Job("nudity", "ear", 4, 16, *read)])
    assert len(table) == 2 * 2 * 4 and not table["value"].any() and (table["ci_high"] > 0).all()


def test_detections_of_another_run_are_refused():
    _, job = run(5)
    _, other = run(6)
    mixed = Job("nudity", "ear", 5, 16, job.verdicts, job.scores, other.detections)
    with pytest.raises(InputError, match=r"detections\.csv of nudity/ear/seed5: found core classes in other"):
        rules_table([mixed])
