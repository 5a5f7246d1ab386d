"""The authors' published weights: the right file is found in a download and becomes a method's adapter."""

import json

import pytest
import torch

from ear.erasure.adapter import load_adapter
from ear.erasure.authors import write_authors_weights
from ear.erasure.published import find_weights, import_published
from ear.erasure.windows import WINDOW_COLUMNS, read_windows
from ear.errors import InputError
from ear.files import read_csv
from tests.tiny import tiny_backbone
from tests.unit.test_adapter import changed, weights_of

FACTS = {"concept": "church", "method": "published"}


@pytest.fixture
def download(tmp_path):
    """An asset's folder: links to what was downloaded, and the record."""
    store, asset = tmp_path / "store", tmp_path / "assets" / "ear-weights"
    asset.mkdir(parents=True)
    backbone = tiny_backbone()
    for name in ("weights/EAR_Church.pt", "weights/van_gogh/model.pt", "nudity.pth"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        write_authors_weights(store / name, changed(backbone))
    (store / "weights/church.png").write_bytes(b"\x89PNG of a church")
    (store / "README.md").write_text("church")
    for entry in store.iterdir():
        (asset / entry.name).symlink_to(entry)
    (asset / "asset.json").write_text("{}")
    return asset


def refusal(folder, pattern) -> str:
    with pytest.raises(InputError) as refused:
        find_weights(folder, pattern)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*church*", "weights/EAR_Church.pt"),
        ("*VAN*gogh*", "weights/van_gogh/model.pt"),
        ("nudity.*", "nudity.pth"),
        ("weights/[e]*.pt", "weights/EAR_Church.pt"),
    ],
)
def test_the_file_is_found_at_any_depth_and_in_any_case(download, pattern, name):
    assert find_weights(download, pattern) == download / name


def test_what_is_there_is_said_where_nothing_fits(download):
    assert refusal(download, "*fire*") == (
        f"{download}: pattern '*fire*': found none among nudity.pth, weights/EAR_Church.pt, "
        "weights/van_gogh/model.pt, wanted one that fits"
    )


def test_what_fits_is_said_where_several_do(download):
    assert refusal(download, "weights/*") == (
        f"{download}: pattern 'weights/*': found 2 files of torch.save that fit: weights/EAR_Church.pt, "
        "weights/van_gogh/model.pt, wanted one that fits"
    )


@pytest.mark.parametrize(
    ("pattern", "concept"), [("*church*", "church"), ("*nud*", "nudity"), ("*van*gogh*", "van_gogh")]
)
def test_the_last_weights_are_taken_and_not_those_of_the_middle(tmp_path, pattern, concept):
    names = [f"ft_model_ear_{concept}{end}.pt" for end in ("_d3_i286", "_d5_i286", "_d5_i576", "")]
    for name in names:
        torch.save({}, tmp_path / name)
    assert find_weights(tmp_path, pattern) == tmp_path / names[-1]
    (tmp_path / "again").mkdir()
    torch.save({}, tmp_path / "again" / names[-1])
    assert "found 2 files of torch.save that fit: again/ft_" in refusal(tmp_path, pattern)
    (tmp_path / "again" / names[-1]).unlink()
    (tmp_path / names[-1]).unlink()
    assert "found 3 files of torch.save that fit" in refusal(tmp_path, pattern)


def test_a_long_list_is_cut(tmp_path):
    for number in range(20):
        torch.save({}, tmp_path / f"{number:02}.pt")
    assert refusal(tmp_path, "church").endswith("05.pt, 06.pt, 07.pt and 12 more, wanted one that fits")


def test_an_empty_folder_is_said_to_be_one(tmp_path):
    assert refusal(tmp_path, "*church*").endswith(
        "found none among no files of torch.save, wanted one that fits"
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rendering_reads_what_was_imported(download, tmp_path, dtype):
    backbone = tiny_backbone(dtype=dtype)
    wanted = {name: tensor.to(backbone.model.dtype) for name, tensor in changed(tiny_backbone()).items()}
    frozen = backbone.fingerprint()
    import_published(download, "*church*", backbone, 48, FACTS, tmp_path / "out")
    windows = read_windows(tmp_path / "out" / "windows.csv")
    assert (windows.own, list(windows.adapters)) == (48, [48])
    with windows.applied(backbone, 48):
        applied = weights_of(backbone)
        assert all(torch.equal(applied[name], tensor) for name, tensor in wanted.items())
    assert backbone.fingerprint() == frozen
    row = read_csv(tmp_path / "out" / "windows.csv", WINDOW_COLUMNS).iloc[0]
    assert bool(row["own"]) and row[["threshold", "skipped_share"]].isna().all()


def test_the_adapter_tells_where_it_came_from(download, tmp_path):
    import_published(download, "*church*", tiny_backbone(), 48, FACTS, tmp_path)
    facts = load_adapter(tmp_path / "adapter.safetensors")[1]
    assert (facts.concept, facts.method, facts.window) == ("church", "published", 48)
    assert facts.fine_tuning_seed is None
    assert json.loads(facts.model_dump_json())["imported_from"]["file"] == "EAR_Church.pt"


def test_weights_of_another_model_are_refused(download, tmp_path):
    with pytest.raises(InputError, match="found shape"):
        import_published(download, "*church*", tiny_backbone(hidden=64), 48, FACTS, tmp_path)
    assert not (tmp_path / "windows.csv").exists()
