import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from ear.errors import InputError
from ear.evaluation.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.evaluate import Reference, verdict_table
from ear.evaluation.metrics.fid import (
    fid,
    image_features,
    kid,
    load_extractor,
    read_features,
    vendi_score,
    write_features,
)
from ear.evaluation.metrics.image_scores import look_at
from ear.evaluation.metrics_table import rate
from ear.evaluation.protocols import RIGHT
from ear.images.reading import read_manifests
from ear.judges.base import SECOND_COLUMNS, Detection, Verdicts
from ear.judges.ranking import ConceptJudge, Ranker
from ear.judges.zero_shot import WEIGHTS, Calibration
from ear.workflow.files import read_csv, sha256_file, write_csv
from tests.evaluation import (
    CHURCH,
    classifier_folder,
    clip,
    clip_folder,
    extractor,
    judge,
    looks_of,
    measure,
    outputs,
    reference,
    run,
)

SCRIPTS = Path(__file__).parents[3] / "scripts"


class Detector:
    """A judge that ranks nothing, knows no objects and finds as many things as the image's number."""

    protocol = "nudenet-0-test-0.2/1"

    def __init__(self):
        self.batches = []

    def judge(self, images):
        self.batches.append(len(images))
        counts = [np.asarray(image)[0, 0, 0] // 10 % 3 for image in images]
        boxes = [[Detection("BELLY_EXPOSED", 0.3, 1, 2, 3, 4)] * int(count) for count in counts]
        return Verdicts(np.zeros(len(images), bool), np.zeros(len(images), np.float32), detections=boxes)


def test_evaluation_writes_verdicts_where_they_are_read_and_the_scores(
    run, reference, judge, clip, extractor
):
    looks = looks_of(judge, clip, extractor)
    inputs = (run, [run / "a.csv", run / "b.csv"], [run / "captions.csv"], reference, looks)
    measure(*inputs, batch_size=4)
    verdicts = VERDICTS_CSV.read(run / "verdicts.csv")
    assert verdicts["prompt_id"].tolist() == [f"church/{number}" for number in range(14)]
    judged = verdicts[verdicts["prompt_set"] == "target"]
    assert (judged["shown"] == (judged["top1_object"] == "church")).all()
    assert (judged["shown"] == (judged["rank"] == 1)).all() and set(judged["rank"]) <= {1, 2, 3}
    general = verdicts[verdicts["prompt_set"] == "general"]
    assert general[["shown", "score", "rank", "top1_object", "protocol"]].isna().all(axis=None)
    for number in (9, 8):  # judged, general
        found = clip.cosines([Image.open(run / f"{number}.png")], ["a church"])[0]
        assert verdicts.loc[number, "clip_score"] == pytest.approx(max(0, 100 * found), abs=1e-3)
    assert set(verdicts["clip_protocol"]) == {"clip-score/1"}
    scores = SCORES_CSV.read(run / "scores.csv")
    assert scores[["metric", "prompt_set", "n", "protocol"]].values.tolist()[:3] == [
        ["fid", "general", 4, "clean-fid-clean-classifier/1"],
        ["kid", "general", 4, "unbiased-mmd2-clean-classifier/1"],
        ["diversity", "general", 4, "vendi-cosine-classifier/1"],
    ]
    assert scores[["metric", "n"]].values.tolist()[3:] == [["bleu", 2], ["length_ratio", 2]]
    assert scores.loc[4, "value"] == 4 / 10  # "a b c d" and nothing for twice "a b c d e"
    assert scores.loc[3, "protocol"].endswith("|asked:describe the image|cut:48 tokens")
    features = image_features([run / f"{number}.png" for number in (2, 5, 8, 11)], extractor)
    assert scores.loc[0, "value"] == pytest.approx(fid(features, reference.features).value, rel=1e-4)
    assert scores.loc[1, "value"] == pytest.approx(kid(features, reference.features).value, rel=1e-4)
    assert scores.loc[2, "value"] == pytest.approx(vendi_score(features).value, rel=1e-4)
    assert DETECTIONS_CSV.read(run / "detections.csv").empty
    first = [path.read_bytes() for path in outputs(run)]
    measure(*inputs, batch_size=4)
    assert first == [path.read_bytes() for path in outputs(run)]


def test_the_release_protocol_measures_jpegs_and_says_so(run, reference, judge, clip, extractor):
    manifests = [run / "a.csv", run / "b.csv"]
    measure(run, manifests, [], reference, looks_of(judge, clip, extractor))
    lossless = VERDICTS_CSV.read(run / "verdicts.csv")
    measure(run, manifests, [], reference, looks_of(judge, clip, extractor, jpeg=True))
    verdicts = VERDICTS_CSV.read(run / "verdicts.csv")
    scores = SCORES_CSV.read(run / "scores.csv")
    ways = ["clean-fid-clean-classifier-jpeg75/1", "unbiased-mmd2-clean-classifier-jpeg75/1"]
    assert scores["protocol"].tolist() == [*ways, "vendi-cosine-classifier-jpeg75/1"]
    assert set(verdicts["clip_protocol"]) == {"clip-score-jpeg75/1"}
    # What Pillow's defaults write and read back; judges see the images as they are.
    Image.open(run / "8.png").save(run / "8.jpg")
    wanted = 100 * clip.cosines([Image.open(run / "8.jpg")], ["a church"])[0]
    assert verdicts.loc[8, "clip_score"] == pytest.approx(max(0, wanted), abs=1e-3)
    pd.testing.assert_series_equal(verdicts["score"], lossless["score"])
    for number in (2, 5, 8, 11):
        Image.open(run / f"{number}.png").save(run / f"{number}.jpg")
    features = image_features([run / f"{number}.jpg" for number in (2, 5, 8, 11)], extractor)
    assert scores.loc[0, "value"] == pytest.approx(fid(features, reference.features).value, rel=1e-4)


def test_images_are_compared_with_the_pictures_of_their_own_prompts(run, reference, judge, clip, extractor):
    manifests, looks = [run / "a.csv", run / "b.csv"], looks_of(judge, clip, extractor)
    general = pd.concat([pd.read_csv(path) for path in manifests]).query("prompt_set == 'general'")
    ids = ["church/none", *general["prompt_id"].head(4), "church/none"]
    measure(run, manifests, [], Reference(reference.features, pd.Series(ids)), looks)
    found = SCORES_CSV.read(run / "scores.csv")["value"]
    measure(run, manifests, [], Reference(reference.features[1:5]), looks)
    assert found.tolist() == SCORES_CSV.read(run / "scores.csv")["value"].tolist()


def test_a_detector_gives_detections_and_no_ranks(run, clip):
    detector = Detector()
    manifests = [run / "a.csv", run / "b.csv"]
    measure(run, manifests, [], None, looks_of(detector, clip), batch_size=4)
    assert detector.batches == [4, 4, 2]  # never all images at once, and none of the four general ones
    assert SCORES_CSV.read(run / "scores.csv").empty  # neither captions nor a reference
    verdicts = VERDICTS_CSV.read(run / "verdicts.csv")
    assert verdicts["rank"].isna().all() and verdicts["top1_object"].isna().all()
    assert set(verdicts["protocol"].dropna()) == {detector.protocol}
    detections = DETECTIONS_CSV.read(run / "detections.csv")
    counts = detections["prompt_id"].value_counts()
    wanted = {f"church/{number}": number % 3 for number in range(14) if number % 3 == 1}
    assert counts.to_dict() == wanted
    assert detections.iloc[0].tolist() == ["church/1", "target", 16, "BELLY_EXPOSED", 0.3, 1, 2, 3, 4]


def test_retention_is_of_the_judges_own_labels_where_it_knows_no_objects(run, clip):
    """As ResNet-50 and the artist classifier, whose labels are of no group."""
    artists = Ranker(nn.Identity(), {"": {"monet": 0, "dali": 1, "van-gogh": 2}}, "cpu")
    shades = lambda images: torch.tensor([list(np.asarray(one)[0, 0]) for one in images])  # noqa: E731
    artists._logits = shades
    judge = ConceptJudge(artists, "", "van-gogh", of="artist")
    images = read_manifests([run / "a.csv", run / "b.csv"])
    images = images.assign(prompt_set=images["prompt_set"].replace("target", "retention"), object="dali")
    images.loc[images["prompt_set"] == "general", "object"] = None
    verdicts, _ = verdict_table(images, look_at(images, looks_of(judge, clip), run / "parts"))
    retained = verdicts["prompt_set"] == "retention"
    most = [artists.predict([Image.open(file)]).top1("")[0] for file in images["file"]]
    assert verdicts.loc[retained, "top1_object"].tolist() == list(np.array(most)[retained])
    right = rate(RIGHT, verdicts[retained])
    assert (right.value, right.n) == (np.mean(np.array(most)[retained] == "dali"), retained.sum())
    misspelt = images.replace({"object": {"dali": "dalí"}})
    with pytest.raises(InputError, match=r"\.png: object: found 'dalí', wanted .* labels, as 'dali'"):
        look_at(misspelt, looks_of(judge, clip), run / "others")


def test_evaluation_says_what_is_missing(run, reference, judge, clip, extractor):
    looks = looks_of(judge, clip, extractor)
    (run / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png: not found"):
        measure(run, [run / "a.csv"], [], reference, looks)
    write_csv(run / "none.csv", pd.read_csv(run / "a.csv")[:0])
    with pytest.raises(InputError, match=r"none\.csv: found no images"):
        measure(run, [run / "none.csv"], [], reference, looks)
    assert not any(path.exists() for path in outputs(run))


class Layers(torch.nn.Module):
    """2048 features: the means of the three channels, repeated."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3)).repeat(1, 683)[:, :2048]


class Inception(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = Layers()

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((x - 128) / 128)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_inception_is_clean_fids_and_comes_from_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"inception-2015-12-05\.pt: not found"):
        load_extractor("inception", tmp_path)
    (tmp_path / "inception-2015-12-05.pt").write_bytes(b"no network")
    with pytest.raises(InputError, match="wanted clean-fid's Inception"):
        load_extractor("inception", tmp_path)
    torch.jit.script(Inception()).save(str(tmp_path / "inception-2015-12-05.pt"))
    Image.new("RGB", (40, 30), (0, 128, 255)).save(tmp_path / "0.png")
    features = image_features([tmp_path / "0.png"], load_extractor("inception", tmp_path))
    assert features.shape == (1, 2048) and features.dtype == np.float32
    assert features[0, :3] == pytest.approx((np.array([0, 128, 255]) - 128) / 128, abs=1e-5)


def test_features_on_disk_are_checked(tmp_path):
    path = tmp_path / "features.npy"
    with pytest.raises(InputError, match="not found, wanted the reference's features"):
        read_features(path, "abc")
    write_features(path, np.ones((3, 2), np.float32))
    assert read_features(path, "abc").tolist() == [[1, 1]] * 3
    with pytest.raises(InputError, match=r"found shape \(3, 2\), wanted the features of 2 images"):
        read_features(path, "ab")
    write_features(path, np.array([[1, 1], [1, np.nan]], np.float32))
    with pytest.raises(InputError, match=r"features\.npy: b: features: found nan"):
        read_features(path, "ab")
    path.write_bytes(b"words")
    with pytest.raises(InputError, match=r"features\.npy: "):
        read_features(path, "abc")


class Files(dict):
    """Named input or output files, as Snakemake gives them to a script."""

    __getattr__ = dict.__getitem__


def script(name, log, inputs, outputs, **params):
    snakemake = SimpleNamespace(
        input=Files(inputs),
        output=Files(outputs),
        params=SimpleNamespace(threads=1, device="cpu", **params),
        log=[str(log)],
    )
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        runpy.run_path(str(SCRIPTS / f"evaluation_{name}.py"), init_globals={"snakemake": snakemake})
    finally:
        torch.use_deterministic_algorithms(deterministic)


def test_the_scripts_write_what_the_library_measures_in_one_job_or_two(
    run, reference, judge, clip, extractor, classifier_folder, clip_folder
):
    measure(
        run,
        [run / "a.csv", run / "b.csv"],
        [run / "captions.csv"],
        reference,
        looks_of(judge, clip, extractor),
    )
    wanted = [path.read_bytes() for path in outputs(run)]
    config, clip_file = classifier_folder / "config.json", clip_folder / "open_clip_config.json"
    log, features = run / "log", run / "features.npy"
    pictures = {"reference": run / "reference.csv", "extractor": config}
    script("extract_features", log, pictures, {"features": features}, features="classifier")
    inputs = {
        "manifests": [run / "a.csv", run / "b.csv"],
        "clip": clip_file,
        "features": features,
        **pictures,
    }
    inputs |= {"captions": [run / "captions.csv"], "judge": [config]}
    inputs |= {"second_judge": [], "objects": [], "answers": []}
    names = dict(zip(("verdicts", "scores", "detections"), outputs(run), strict=True))
    params = {"judges": [CHURCH], "features": "classifier", "jpeg": False}
    params |= {"question": "describe the image", "code": "code"}
    script("evaluate", log, inputs, names, **params)
    assert [path.read_bytes() for path in outputs(run)] == wanted
    # In two jobs, one of which has a GPU, the same.
    script("measure_images", log, inputs, {"seen": run / "seen.npz"}, **params)
    script("evaluate", log, inputs | {"seen": run / "seen.npz", "clip": [], "extractor": []}, names, **params)
    assert [path.read_bytes() for path in outputs(run)] == wanted
    assert not (run / ".seen").exists() and not (run / ".judged").exists()
    # With a second judge, and of nothing but verdicts.
    before = VERDICTS_CSV.read(run / "verdicts.csv")
    weights = sha256_file(clip_file.with_name(WEIGHTS))
    Calibration("z/1", weights, ["a church"], ["a car"], 0.5, 1, 1, 1, 1, 1).write(run / "judge.json")
    files = {"judge": [clip_file, run / "judge.json"], "second_judge": [config], "objects": [config]}
    bare = inputs | files | {"captions": [], "extractor": [], "features": []}
    script("evaluate", log, bare, names, **params | {"judges": [{"by": "zero-shot"}, CHURCH]})
    assert SCORES_CSV.read(run / "scores.csv").empty
    verdicts = read_csv(run / "verdicts.csv", [*VERDICTS_CSV.columns, *SECOND_COLUMNS])
    pd.testing.assert_series_equal(verdicts["second_shown"], before["shown"], check_names=False)
    pd.testing.assert_series_equal(verdicts["top1_object"], before["top1_object"])
    judged = verdicts[verdicts["prompt_set"] == "target"]
    assert judged["shown"].tolist() == (judged["score"] >= 0.5).tolist() and verdicts["rank"].isna().all()
