"""Cautions beside a concept rate: of images that no judge has seen, and of judges that part."""

import math

import numpy as np
import pandas as pd
import pytest

from ear.evaluation.cautions import Measures, cautions, measures_of_run, measures_of_table
from ear.evaluation.columns import METRICS_CSV, SCORES_CSV
from ear.report.figures import samples
from ear.report.figures.images import image_table
from ear.workflow.files import write_csv
from tests.unit.report.test_figure_images import write_images

NONE = math.nan
ORIGINAL = Measures(1.2, 0.99, 0.97)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (Measures(1.3, 0.02, 0.03), ""),
        (Measures(3.5, 0.98, 0.97), ""),
        (Measures(9.9, 0.98, NONE), "caution: the judge has not seen such images (FID 9.9, original 1.2)"),
        (
            Measures(9.9, 0.507, 0.783),
            "caution: the judge has not seen such images (FID 9.9, original 1.2); "
            "the concept is found in 51 % by the first judge and 78 % by the second",
        ),
        (
            Measures(1.3, 0.1, 0.4),
            "caution: the concept is found in 10 % by the first judge and 40 % by the second",
        ),
        (Measures(NONE, 0.98, NONE), ""),
        (Measures(NONE, 0.1, 0.15), ""),
    ],
)
def test_a_judge_is_doubted_far_from_the_original_or_beside_another(own, told):
    assert cautions({"original": ORIGINAL, "released": own}) == ({"released": told} if told else {})


def test_the_table_and_the_run_have_the_same_measures(tmp_path):
    """From a metrics table of one seed, and from the files of the run: own window alone, target images alone."""
    rows = [("fid", "general", 9.9), ("concept_rate", "target", 0.5), ("second_concept_rate", "target", 0.25)]
    table = pd.DataFrame(
        [("church", "ear", "all", where, what, value, NONE, NONE, 4) for what, where, value in rows],
        columns=list(METRICS_CSV.columns),
    )
    write_csv(
        tmp_path / "scores.csv",
        pd.DataFrame([("fid", "general", 9.9, NONE, NONE, 9, "p/1")], columns=list(SCORES_CSV.columns)),
    )
    shown = [("target", 8, True, True), ("target", 8, True, False), ("target", 8, False, False)]
    shown += [("target", 8, False, False), ("target", 4, True, True), ("prefix-4", 8, True, True)]
    write_csv(
        tmp_path / "verdicts.csv",
        pd.DataFrame(shown, columns=["prompt_set", "window", "shown", "second_shown"]),
    )
    found = measures_of_run(tmp_path / "scores.csv", tmp_path / "verdicts.csv", 8)
    assert measures_of_table(table, "church") == {"ear": found} == {"ear": Measures(9.9, 0.5, 0.25)}
    write_csv(tmp_path / "verdicts.csv", pd.DataFrame(shown, columns=["prompt_set", "window", "shown", "x"]))
    assert np.isnan(measures_of_run(tmp_path / "scores.csv", tmp_path / "verdicts.csv", 8).second_rate)


def test_the_sample_figure_tells_it_inside_of_its_edges(tmp_path):
    told = "caution: the judge has not seen such images (FID 9.9, original 1.2); the concept is found in 98 %"
    table = image_table(write_images(tmp_path))
    figure = samples.draw(table, "church", 2, 1, cautions={"ear": told, "original": told})
    assert f"EAR: {told}" in " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    figure.canvas.draw()
    width, height = figure.bbox.size
    for text in figure.texts:
        box = text.get_window_extent()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text.get_text()
