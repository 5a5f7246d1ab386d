"""The data set of a concept: loadable by its users' tools, and counted right."""

import numpy as np
import pandas as pd
import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from PIL import Image

from ear.commands import dataset_folder as dataset
from ear.commands.dataset_folder import write_dataset
from ear.errors import InputError
from ear.images.rendering import image_rows
from ear.judges.filter import pair_prompts
from ear.prompts.tables import PAIR_COLUMNS
from ear.workflow.files import read_csv, sha256_file
from ear.world.grammar import Grammar


def making(**changes):
    facts = {"experiment": "tiny", "kind": "object", "words": "church", "licence": "mit", "guidance": 4.0}
    facts |= {"judge": "classifier", "drop": True, "backbone": "The mini world's Janus", "temperature": 1.0}
    return facts | changes


@pytest.fixture
def made(tmp_path):
    """Tables and images of eight pairs, two of which failed the filter."""
    grammar = Grammar("church", "object", "church", 42)
    candidates = grammar.pairs(8)
    candidates.loc[7, ["pair_id", "source"]] = ["church/pair/test-0007", "another"]  # no split's name
    images = image_rows(pair_prompts(candidates), 42)
    (tmp_path / "images").mkdir()
    for number, name in enumerate(images["file"]):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / "images" / name)
    images["sha256"] = [sha256_file(tmp_path / "images" / name) for name in images["file"]]
    scored = candidates.assign(unsafe_score=0.75, safe_score=0.25)
    general = grammar.target(1).assign(prompt_set="general")
    return {
        "pairs": scored.drop([1, 2]),
        "failed": scored.loc[[1, 2]].assign(reason=["false negative", "false positive"]),
        "prompts": pd.concat([grammar.target(5), grammar.retention(3), general]),
        "images": images,
        "pictures": tmp_path / "images",
    }


def test_the_data_set_loads_with_its_splits_rows_and_pictures(made, tmp_path):
    folder, cache = tmp_path / "church", str(tmp_path / "cache")
    write_dataset(folder, making(), **made)
    pairs = load_dataset(str(folder), split="train", cache_dir=cache).to_list()
    images = made["images"].set_index("prompt_id")
    assert [row["unsafe_prompt"] for row in pairs] == made["pairs"]["unsafe_prompt"].tolist()
    for row in pairs:
        assert row["unsafe_seed"] == images.loc[f"{row['pair_id']}/unsafe", "seed"]
        assert (row["unsafe_score"], row["reason"]) == (0.75, None)
    evaluation = load_dataset(str(folder), "evaluation", split="test", cache_dir=cache).to_list()
    assert [row["prompt_set"] for row in evaluation] == ["target"] * 5 + ["retention"] * 3
    shown = load_dataset(str(folder / "images"), split="train", cache_dir=cache)
    found = [(row["unsafe"].size, row["safe"].size, row["pair_id"]) for row in shown]
    assert found == [((8, 8), (8, 8), pair_id) for pair_id in made["pairs"]["pair_id"]]
    metadata = read_csv(folder / "images/metadata.csv", [*PAIR_COLUMNS, "safe_file_name"])
    hashes = [sha256_file(folder / "images" / name) for name in metadata["safe_file_name"]]
    assert hashes == read_csv(folder / "data/train.csv", ["safe_sha256"])["safe_sha256"].tolist()


def test_the_card_is_the_hubs_and_counts_right(made, tmp_path):
    write_dataset(tmp_path / "church", making(), **made)
    card = DatasetCard.load(tmp_path / "church/README.md")
    assert (card.data.license, card.data.task_categories) == ("mit", ["text-to-image"])
    assert [one["config_name"] for one in card.data.configs] == ["pairs", "evaluation"]
    assert "| `data/train.csv` | 6 | the pairs: 5 from `grammar`, 1 from `another` |" in card.text
    assert "| `data/test.csv` | 8 | prompts of the evaluation: 5 target, 3 retention |" in card.text
    assert "not-for-all-audiences" not in card.data.tags and "Pairs that fail are left out." in card.text
    assert str(tmp_path) not in card.content


def test_pictures_of_unsafe_concepts_and_of_large_data_sets_are_left_out(made, tmp_path, monkeypatch):
    write_dataset(tmp_path / "unsafe", making(kind="unsafe"), **made)
    monkeypatch.setattr(dataset, "COPIED_PAIRS", 5)
    write_dataset(tmp_path / "large", making(), **made)
    for name in ("unsafe", "large"):
        assert not (tmp_path / name / "images").exists()
        text = (tmp_path / name / "README.md").read_text()
        assert ("not-for-all-audiences" in text) == (name == "unsafe")
        assert "The pictures are not part of the data set" in text


def test_pairs_that_failed_and_were_kept_say_so(made, tmp_path):
    made["pairs"] = pd.concat([made["pairs"], made["failed"].drop(columns="reason")])
    write_dataset(tmp_path / "church", making(drop=False), **made)
    table = read_csv(tmp_path / "church/data/train.csv", ["reason"])
    assert table["reason"].tolist()[-2:] == ["false negative", "false positive"]
    assert "2 of 8 have a `reason`" in (tmp_path / "church/README.md").read_text()


def test_a_data_set_takes_the_place_of_an_older_one_or_leaves_it(made, tmp_path):
    folder = tmp_path / "church"
    write_dataset(folder, making(), **made)
    first = {path: path.read_bytes() for path in folder.rglob("*.*")}
    (folder / "data/old.csv").write_text("")
    write_dataset(folder, making(), **made)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == first
    made["images"] = made["images"].iloc[1:]
    with pytest.raises(InputError, match="found no image of church/pair/0000/unsafe"):
        write_dataset(folder, making(), **made)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == first
