import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.errors import InputError
from ear.evaluation.columns import DETECTIONS_CSV, SCORES_CSV, VERDICTS_CSV
from ear.evaluation.evaluate import Reference
from ear.evaluation.metrics.fid import (
    fid,
    image_features,
    kid,
    load_extractor,
    read_features,
    vendi_score,
    write_features,
)
from ear.evaluation.metrics.parts import Parts
from ear.images.reading import read_captions
from ear.judges.base import SECOND_COLUMNS, Detection, Verdicts
from ear.judges.zero_shot import WEIGHTS, Calibration
from ear.workflow.files import read_csv, sha256_file, write_csv
from tests.evaluation import (
    CHURCH,
    classifier_folder,
    clip,
    extractor,
    judge,
    looks_of,
    measure,
    outputs,
    reference,
    run,
)
from tests.small_judges import small_clip

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
    inputs = (run, [run / "a.csv", run / "b.csv"], [run / "captions.csv"], reference, looks, 16)
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
    measure(run, manifests, [], reference, looks_of(judge, clip, extractor), 16)
    lossless = VERDICTS_CSV.read(run / "verdicts.csv")
    measure(run, manifests, [], reference, looks_of(judge, clip, extractor, jpeg=True), 16)
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
    measure(run, manifests, [], Reference(reference.features, pd.Series(ids)), looks, 16)
    found = SCORES_CSV.read(run / "scores.csv")["value"]
    measure(run, manifests, [], Reference(reference.features[1:5]), looks, 16)
    assert found.tolist() == SCORES_CSV.read(run / "scores.csv")["value"].tolist()


def test_a_detector_gives_detections_and_no_ranks(run, clip):
    detector = Detector()
    manifests = [run / "a.csv", run / "b.csv"]
    measure(run, manifests, [], None, looks_of(detector, clip), 16, batch_size=4)
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


def test_prompts_without_objects_and_without_general_images_are_judged(
    run, reference, judge, clip, extractor
):
    targets = pd.read_csv(run / "a.csv").query("prompt_set == 'target'").assign(object=None)
    write_csv(run / "targets.csv", targets)
    looks = looks_of(judge, clip, extractor)
    measure(run, [run / "targets.csv"], [run / "captions.csv"], reference, looks, None)
    assert len(VERDICTS_CSV.read(run / "verdicts.csv")) == len(targets)
    assert SCORES_CSV.read(run / "scores.csv")["metric"].tolist() == ["bleu", "length_ratio"]


def test_evaluation_says_what_is_missing(run, reference, judge, clip, extractor):
    looks = looks_of(judge, clip, extractor)
    with pytest.raises(InputError, match="found no general images at window 8"):
        measure(run, [run / "a.csv"], [], reference, looks, 8)
    with pytest.raises(InputError, match="found 3 features in the reference, wanted 16"):
        measure(run, [run / "a.csv"], [], Reference(reference.features[:, :3]), looks, 16)
    Parts(run / "parts").remove()
    (run / "4.png").write_bytes((run / "3.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"4\.png: .*wanted a whole image"):
        measure(run, [run / "a.csv"], [], reference, looks, 16)
    (run / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png: not found"):
        measure(run, [run / "a.csv"], [], reference, looks, 16)
    (run / "0.png").write_text("words")
    with pytest.raises(InputError, match=r"0\.png: found a file that is no image"):
        measure(run, [run / "a.csv"], [], reference, looks, 16)
    write_csv(run / "none.csv", pd.read_csv(run / "a.csv")[:0])
    with pytest.raises(InputError, match=r"none\.csv: found no images"):
        measure(run, [run / "none.csv"], [], reference, looks, 16)
    assert not any(path.exists() for path in outputs(run))


@pytest.mark.parametrize("references", ["a church", "[]", '"a church"', "[1]", "", '[""]', '["a", " "]'])
def test_references_are_a_json_list_of_texts(tmp_path, references):
    rows = {"image_id": ["coco/42"], "references": [references], "caption": ["a"]}
    write_csv(tmp_path / "captions.csv", pd.DataFrame(rows))
    with pytest.raises(InputError, match=r"captions\.csv: coco/42: references:.* wanted a JSON list"):
        read_captions([tmp_path / "captions.csv"])


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
    for number, colour in enumerate([(0, 128, 255), (64, 0, 192)]):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number}.png")
    extractor = load_extractor("inception", tmp_path)
    features = image_features([tmp_path / "0.png", tmp_path / "1.png"], extractor)
    assert features.shape == (2, 2048) and features.dtype == np.float32
    assert features[:, :3] == pytest.approx((np.array([[0, 128, 255], [64, 0, 192]]) - 128) / 128, abs=1e-5)
    with pytest.raises(InputError, match="features: found 'vgg', wanted classifier or inception"):
        load_extractor("vgg", tmp_path)


def test_features_on_disk_are_checked(tmp_path):
    path = tmp_path / "features.npy"
    with pytest.raises(InputError, match="not found, wanted the reference's features"):
        read_features(path, "abc")
    write_features(path, np.ones((3, 2), np.float32))
    assert read_features(path, "abc").tolist() == [[1, 1]] * 3
    with pytest.raises(InputError, match=r"found shape \(3, 2\), wanted the features of 2 images"):
        read_features(path, "ab")
    write_features(path, np.ones(3))
    with pytest.raises(InputError, match=r"found shape \(3,\), wanted the features of 3 images"):
        read_features(path, "abc")
    for content in (b"", b"words"):
        path.write_bytes(content)
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


def test_the_scripts_measure_a_run_with_and_without_a_reference(run, classifier_folder, tmp_path_factory):
    clip = small_clip(tmp_path_factory.mktemp("clip")) / "open_clip_config.json"
    config, log, features = classifier_folder / "config.json", run / "log", run / "features.npy"
    script(
        "extract_features",
        log,
        {"reference": run / "reference.csv", "extractor": config},
        {"features": features},
        features="classifier",
    )
    assert read_features(features, "abcdef").shape == (6, 16)
    inputs = {"manifests": [run / "a.csv", run / "b.csv"], "clip": clip}
    inputs |= {"judge": [config], "second_judge": [], "objects": [], "answers": []}
    inputs["reference"] = run / "reference.csv"
    names = dict(zip(("verdicts", "scores", "detections"), outputs(run), strict=True))
    params = {"judges": [CHURCH], "features": "classifier", "window": 16, "jpeg": False}
    params |= {"question": "describe the image", "code": "code"}
    whole = inputs | {"captions": [run / "captions.csv"], "extractor": config, "features": features}
    script("evaluate", log, whole, names, **params)
    assert SCORES_CSV.read(run / "scores.csv")["metric"].tolist() == [
        "fid",
        "kid",
        "diversity",
        "bleu",
        "length_ratio",
    ]
    # In two jobs, one of which has a GPU, the same.
    together = [path.read_bytes() for path in outputs(run)]
    script("measure_images", log, whole, {"seen": run / "seen.npz"}, **params)
    apart = whole | {"seen": run / "seen.npz", "clip": [], "extractor": []}
    script("evaluate", log, apart, names, **params)
    assert [path.read_bytes() for path in outputs(run)] == together
    assert not (run / ".seen").exists() and not (run / ".judged").exists()
    bare = inputs | {"captions": [], "extractor": [], "features": []}
    script("evaluate", log, bare, names, **params)
    assert SCORES_CSV.read(run / "scores.csv").empty
    files = {"judge": [clip, run / "judge.json"], "second_judge": [config], "objects": [config]}
    calibration = Calibration(
        "z/1", sha256_file(clip.with_name(WEIGHTS)), ["a church"], ["a car"], 0.5, 1, 1, 1, 1, 1
    )
    calibration.write(run / "judge.json")
    before = VERDICTS_CSV.read(run / "verdicts.csv")
    params["judges"] = [{"by": "zero-shot"}, CHURCH]
    script("evaluate", log, bare | files, names, **params)
    verdicts = read_csv(run / "verdicts.csv", [*VERDICTS_CSV.columns, *SECOND_COLUMNS])
    pd.testing.assert_series_equal(verdicts["second_shown"], before["shown"], check_names=False)
    pd.testing.assert_series_equal(verdicts["top1_object"], before["top1_object"])
    judged = verdicts[verdicts["prompt_set"] == "target"]
    assert judged["shown"].tolist() == (judged["score"] >= 0.5).tolist() and verdicts["rank"].isna().all()
    names_of_tables = ("metrics", "windows", "top_k", "detections", "comparisons", "score_card", "latex")
    tables = {name: run / f"{name}-table.csv" for name in names_of_tables} | {"deviations": []}
    script(
        "tabulate",
        log,
        {name: [path] for name, path in names.items()} | {"attacks": []},
        tables,
        runs=[("church", "original", 0)],
        windows={},
        also_erased={},
        attacked=[],
        shown_method="ear",
        image_tokens=64,
    )
    assert pd.read_csv(tables["comparisons"]).empty  # the original alone
    assert pd.read_csv(tables["top_k"]).empty  # a zero-shot judge does not rank
    found = (
        pd.read_csv(tables["metrics"]).query("seed == 'all' and prompt_set == 'target'").set_index("metric")
    )
    target = verdicts[verdicts["prompt_set"] == "target"]
    assert found.loc["concept_rate", "value"] == pytest.approx(target["shown"].mean())
    assert found.loc["second_concept_rate", "value"] == pytest.approx(target["second_shown"].mean())
    assert pd.read_csv(tables["detections"]).empty and pd.read_csv(tables["windows"]).empty
