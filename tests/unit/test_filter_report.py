"""Tables and figures of the visual filter: counts against naive ones, and what stands in the panels."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import StepPatch
from PIL import Image

from ear.errors import InputError
from ear.figures import borderline, filter_scores
from ear.files import write_csv
from ear.filtering import PAIR_VERDICT_COLUMNS, filter_pairs, pair_outcomes
from ear.metrics.filtering import agreement_table, cohens_kappa, filter_table
from ear.metrics.intervals import wilson
from ear.prompts.tables import PAIR_COLUMNS

COUNT = st.integers(0, 30)


def naive_kappa(first, second):
    """Cohen's kappa from the two lists of answers, as its definition reads."""
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(
        (sum(a == word for a in first) / n) * (sum(b == word for b in second) / n) for word in (True, False)
    )
    return (observed - chance) / (1 - chance)


@given(COUNT, COUNT, COUNT, COUNT)
def test_kappa_is_that_of_its_definition(both, first_only, second_only, neither):
    first = [True] * (both + first_only) + [False] * (second_only + neither)
    second = [True] * both + [False] * first_only + [True] * second_only + [False] * neither
    kappa = cohens_kappa(both, first_only, second_only, neither)
    if len(set(first) | set(second)) < 2:
        assert np.isnan(kappa)
    else:
        assert kappa == pytest.approx(naive_kappa(first, second), abs=1e-9)
        assert -1 <= kappa <= 1


def candidates(sources):
    return pd.DataFrame(
        [
            (f"church/pair/{row:04d}", f"a church {row}", f"a barn {row}", "church", "barn", source)
            for row, source in enumerate(sources)
        ],
        columns=PAIR_COLUMNS,
    )


def verdicts(unsafe, safe, **columns):
    """Verdicts of as many pairs as each side has."""
    rows = [
        (f"church/pair/{row:04d}/{side}", side, shown, shown * 0.8 + 0.1, 0.5, "z/1")
        for side, of_side in (("unsafe", unsafe), ("safe", safe))
        for row, shown in enumerate(of_side)
    ]
    return pd.DataFrame(rows, columns=PAIR_VERDICT_COLUMNS).assign(**columns)


@pytest.mark.parametrize("drop", [True, False])
def test_the_filter_table_counts_every_pair_once_by_source_and_outcome(drop):
    pairs = candidates(["grammar"] * 5 + ["other"] * 3)
    said = verdicts([1, 1, 0, 0, 1, 1, 1, 0], [0, 1, 0, 1, 0, 0, 0, 1])
    said["shown"] = said["shown"].astype(bool)
    table = filter_table({"church": pair_outcomes(*filter_pairs(pairs, said, drop))})
    found = table.set_index(["source", "outcome"])["count"]
    assert found["grammar"].to_dict() == {
        "kept": 2,
        "false negative": 1,
        "false positive": 1,
        "false negative and false positive": 1,
    }
    assert found["other"].tolist() == [2, 0, 0, 1] and found["all"].tolist() == [4, 1, 1, 2]
    for row in table.itertuples():
        assert (row.share, row.ci_low, row.ci_high, row.n) == wilson(row.count, row.n)
    assert (table.groupby("source")["count"].sum() == table.groupby("source")["n"].first()).all()


def test_agreement_is_counted_where_there_are_two_judges():
    one = verdicts([True, True, False], [False, False, True])
    two = one.assign(
        second_shown=[True, False, False, True, False, True],
        second_score=0.5,
        second_protocol="c/1",
        second_threshold=np.nan,
    )
    table = agreement_table({"church": two, "fire": one})
    assert table["concept"].tolist() == ["church"]
    row = table.iloc[0]
    assert row[["both", "first_only", "second_only", "neither", "n"]].tolist() == [2, 1, 1, 2, 6]
    assert (row["first"], row["second"], row["kappa"]) == ("z/1", "c/1", pytest.approx(1 / 3))
    assert (row["agreement"], row["ci_low"], row["ci_high"], row["n"]) == wilson(4, 6)
    assert agreement_table({"fire": one}).empty


def test_histograms_hold_every_image_once_and_show_the_threshold():
    rng = np.random.default_rng(0)
    images = verdicts([True] * 40, [False] * 30, score=rng.random(70))
    second = images.assign(
        second_shown=True, second_score=rng.random(70), second_protocol="c/1", second_threshold=np.nan
    )
    figure = filter_scores.draw({"church": images, "windmill": second})
    titles = ["Church", "Windmill", "Windmill, second judge"]
    assert [ax.get_title() for ax in figure.axes] == titles  # none of the church: it has no second judge
    for number, (table, column) in enumerate(
        [(images, "score"), (second, "score"), (second, "second_score")]
    ):
        patches = {p.get_label(): p for p in figure.axes[number].patches if isinstance(p, StepPatch)}
        for side in ("unsafe", "safe"):
            values, edges, _ = patches[side].get_data()
            scores = table.loc[table["prompt_set"] == side, column]
            assert values.sum() == len(scores)
            naive = [((scores >= a) & (scores < b)).sum() for a, b in itertools.pairwise(edges)]
            assert values.tolist() == naive
        lines = [
            line.get_xdata()[0] for line in figure.axes[number].get_lines() if line.get_label() == "threshold"
        ]
        assert lines == ([0.5] if column == "score" else [])
    with pytest.raises(InputError, match="found no concept"):
        filter_scores.draw({})
    for tables in ({"church": images}, {"church": images, "windmill": second}):
        figure = filter_scores.draw(tables)
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1


@pytest.fixture
def pair_files(tmp_path):
    """Five pairs with images, and the judge's verdicts on them."""
    rows, scores = [], {"unsafe": [0.9, 0.52, 0.99, 0.4, 1.0], "safe": [0.1, 0.2, 0.49, 0.0, 0.0]}
    for side, of_side in scores.items():
        for number, score in enumerate(of_side):
            name = f"{side}{number}.png"
            Image.new("RGB", (16, 16), (10 * number, 90, 200)).save(tmp_path / name)
            rows.append((f"church/pair/{number}/{side}", side, f"{side} prompt {number}", name, score))
    images = pd.DataFrame(rows, columns=["prompt_id", "prompt_set", "prompt", "file", "score"])
    write_csv(tmp_path / "manifest.csv", images.drop(columns="score"))
    table = images[["prompt_id", "prompt_set", "score"]].assign(
        shown=images["score"] >= 0.5, threshold=0.5, protocol="z/1"
    )
    write_csv(tmp_path / "verdicts.csv", table[PAIR_VERDICT_COLUMNS])
    return tmp_path / "manifest.csv", tmp_path / "verdicts.csv"


def test_borderline_pairs_are_the_nearest_to_the_threshold(pair_files):
    images = borderline.pair_images(*pair_files, blurred=False)
    nearest = borderline.nearest_pairs(images, 5)
    assert nearest == [f"church/pair/{number}" for number in (2, 1, 3, 0, 4)]
    assert borderline.nearest_pairs(images, 2) == nearest[:2]
    unknown = images.assign(threshold=np.nan)
    assert borderline.nearest_pairs(unknown, 5) == nearest  # one half stands for the threshold
    figure = borderline.draw(images, "church", count=3)
    labels = [ax.get_label() for ax in figure.axes]
    assert labels == [f"{side}|{pair}" for pair in nearest[:3] for side in ("unsafe", "safe")]
    written = {text.get_text() for text in figure.texts}
    assert {"0.990", "0.490", "+ unsafe prompt 2", "− safe prompt 2", "Church, threshold 0.500"} <= written
    frames = [ax.patches[-1].get_label() for ax in figure.axes]
    assert frames == ["shown", "none", "shown", "none", "none", "none"]


def test_borderline_pairs_of_unsafe_concepts_are_blurred(pair_files):
    pixels = {}
    for blurred in (False, True):
        rows = borderline.pair_images(*pair_files, blurred=blurred)
        Image.fromarray(np.indices((16, 16)).sum(axis=0).astype(np.uint8) % 2 * 255).convert("RGB").save(
            rows["path"].iloc[2]
        )
        figure = borderline.draw(rows, "nudity", count=1)
        pixels[blurred] = np.asarray(figure.axes[0].images[0].get_array())
    assert pixels[False].std() > 3 * pixels[True].std() > 0


def test_pairs_without_verdicts_are_one_line(pair_files):
    manifest, verdicts_file = pair_files
    lines = verdicts_file.read_text().splitlines()
    verdicts_file.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="found no verdict on church/pair/4/safe"):
        borderline.pair_images(manifest, verdicts_file, blurred=False)
