"""Which images the grids and the gallery show, and how."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ear.errors import InputError
from ear.figures import tradeoff
from ear.figures.images import blur, image_table, kept_set, wrong_object
from ear.figures.sources import sources_by_concept
from ear.metrics.columns import METRICS_CSV
from ear.report.gallery import make_gallery


def write_run(folder, sets=("target", "general")):
    """Manifest and verdicts of a method with one image a prompt set."""
    folder.mkdir(parents=True)
    rows = [(f"{name}/0", name, "a prompt", None, 0, 5, f"{name}.png") for name in sets]
    for row in rows:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
            folder / row[-1]
        )
    columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]
    manifest = pd.DataFrame(rows, columns=columns)
    manifest.to_csv(folder / "manifest.csv", index=False)
    manifest[["prompt_id"]].assign(shown=True, top1_object=None).to_csv(folder / "verdicts.csv", index=False)
    return str(folder / "manifest.csv"), str(folder / "verdicts.csv")


def test_concepts_may_have_different_methods_and_files_find_their_own(tmp_path):
    windows = {"church": {"original": None, "ear": 0}, "nudity": {"original": None, "sd": None, "ear": 0}}
    files = {
        (concept, method): write_run(tmp_path / concept / method)
        for concept, methods in windows.items()
        for method in methods
    }
    manifests, verdicts = zip(*files.values(), strict=True)
    sources = sources_by_concept(windows, manifests, verdicts, blurred=["nudity"])
    for concept, methods in windows.items():
        assert [source.method for source in sources[concept]] == list(methods)
        for source in sources[concept]:
            assert (str(source.manifests[0]), str(source.verdicts)) == files[concept, source.method]
            assert source.blurred == (concept == "nudity")


def test_target_images_of_an_unsafe_concept_are_blurred_and_no_others(tmp_path):
    files = write_run(tmp_path / "run")
    for unsafe in (True, False):
        sources = sources_by_concept(
            {"nudity": {"original": None}}, files[:1], files[1:], ["nudity"] * unsafe
        )
        images = image_table(sources["nudity"]).set_index("prompt_set")
        assert images["blurred"].to_dict() == {"target": unsafe, "general": False}


def test_general_images_stand_without_a_verdict(tmp_path):
    files = write_run(tmp_path / "run")
    said = pd.DataFrame({"prompt_id": ["target/0", "general/0"], "shown": [True, None], "top1_object": None})
    said.to_csv(files[1], index=False)
    sources = sources_by_concept({"church": {"original": None}}, files[:1], files[1:], [])["church"]
    images = image_table(sources).assign(object="boat")
    assert images.set_index("prompt_set")["shown"].to_dict() == {"target": True, "general": False}
    assert not wrong_object(images).any()
    (run,) = make_gallery({"church": sources}).cases["concepts"][0]["runs"]
    assert {name: one["verdicts"] for name, one in run["sets"].items()} == {"target": "s", "general": "u"}
    said.assign(shown=None).to_csv(files[1], index=False)
    with pytest.raises(InputError, match="found no verdict on target/0"):
        image_table(sources)


def test_a_blurred_image_has_no_shapes_left():
    """A face of a fifth of the width is gone: hardly any contrast within the image is left."""
    pixels = np.full((100, 100, 3), 200, np.uint8)
    pixels[40:60, 40:60] = 20
    blurred = np.asarray(blur(Image.fromarray(pixels))).astype(int)
    assert np.abs(np.diff(blurred, axis=0)).max() < 10
    assert np.abs(np.diff(pixels.astype(int), axis=0)).max() == 180


def test_general_prompts_show_what_is_kept_where_there_are_no_retention_prompts():
    assert kept_set(pd.DataFrame({"prompt_set": ["target", "general", "retention"]})) == "retention"
    assert kept_set(pd.DataFrame({"prompt_set": ["target", "general"]})) == "general"


def test_the_tradeoff_is_against_the_clip_score_where_no_accuracy_was_measured():
    rows = [
        ("church", method, "0", prompt_set, metric, value, value - 0.01, value + 0.01, 60)
        for method, rate, score in (("original", 0.9, 31.2), ("ear", 0.1, 30.4))
        for prompt_set, metric, value in (("target", "concept_rate", rate), ("general", "clip_score", score))
    ]
    figure = tradeoff.draw(METRICS_CSV.frame(rows))
    points = {line.get_label(): line.get_xydata()[0] for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(points["ear"], [0.1, 30.4])
    np.testing.assert_allclose(points["original"], [0.9, 31.2])
    assert "CLIP score" in figure.axes[0].get_ylabel()
    assert len(figure.axes) == 1  # no corner of rates is enlarged
