"""The data set of a concept: loadable by its users' tools, counted right, safe to open."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard
from PIL import Image

from ear.dataset import folder as folder_module
from ear.dataset.card import Making, Subject
from ear.dataset.folder import write_dataset
from ear.errors import InputError
from ear.files import read_csv, sha256_file, write_csv
from ear.filtering import pair_prompts
from ear.prompts.checks import ASPECTS
from ear.prompts.coverage import frame_aspects, told_aspects
from ear.prompts.grammar import Grammar
from ear.prompts.tables import PAIR_COLUMNS
from ear.render import image_rows

MAKING = Making(
    {
        "grammar": {"by": "the grammar", "template": None},
        "another": {"by": "chat", "model": "a|b", "version": 1},
    },
    {"by": "classifier", "label": "church", "top_k": 1},
    True,
    "the mini world's Janus",
    "float32",
    4.0,
    1.0,
    42,
)
LOADING = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
folder, images = sys.argv[1], sys.argv[2] == "images"
found = {}
for name in (None, *get_dataset_config_names(folder)[1:]):
    for split, rows in load_dataset(folder, name).items():
        found[f"{name}/{split}"] = [rows.column_names, rows.to_list()]
if images:
    for split, rows in load_dataset(folder + "/images").items():
        sizes = [(row["unsafe"].size, row["safe"].size, row["pair_id"]) for row in rows]
        found[f"images/{split}"] = [rows.column_names, sizes]
json.dump(found, sys.stdout)
"""


def subject(kind="object"):
    return Subject("tiny", "church", kind, "church", ("chapel", "église"), "mit")


@pytest.fixture
def made(tmp_path):
    """Tables and images of eight pairs, two of which failed the filter."""
    grammar = Grammar("church", "object", "church", 42)
    candidates = grammar.pairs(8)
    # A split's name in an id is no split.
    candidates.loc[7, ["pair_id", "source"]] = ["church/pair/test-0007", "another"]
    manifest = tmp_path / "images" / "manifest.csv"
    images = image_rows(pair_prompts(candidates), 42)
    manifest.parent.mkdir()
    for number, name in enumerate(images["file"]):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(manifest.parent / name)
    images["sha256"] = [sha256_file(manifest.parent / name) for name in images["file"]]
    write_csv(manifest, images)
    scored = candidates.assign(unsafe_score=0.75, safe_score=0.25)
    told = pd.DataFrame(frame_aspects(grammar.pair_frames(8))).reindex(columns=list(ASPECTS))
    aspects = told_aspects([pd.concat([candidates, told], axis=1)])
    return {
        "pairs": scored.drop([1, 2]),
        "failed": scored.loc[[1, 2]].assign(reason=["false negative", "false positive"]),
        "prompts": pd.concat(
            [grammar.target(5), grammar.retention(3), grammar.target(1).assign(prompt_set="general")]
        ),
        "aspects": aspects,
        "manifest": manifest,
        "images": images,
    }


def load(folder, tmp_path, images):
    run = subprocess.run(
        [sys.executable, "-c", LOADING, str(folder), "images" if images else ""],
        env=os.environ
        | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_data_set_loads_offline_with_its_splits_rows_and_pictures(made, tmp_path):
    folder = tmp_path / "church"
    rejected = pd.DataFrame(
        [("another", "A church", "'=1", "spreadsheet formula")],
        columns=["source", "unsafe_prompt", "safe_prompt", "reason"],
    )
    write_dataset(folder, subject(), MAKING, **made, rejected=rejected)
    found = load(folder, tmp_path, images=True)
    assert set(found) == {"None/train", "evaluation/test", "rejected/rejected", "images/train"}
    columns, rows = found["None/train"]
    assert columns[:6] == PAIR_COLUMNS
    assert [row["unsafe_prompt"] for row in rows] == made["pairs"]["unsafe_prompt"].tolist()
    seeds = made["images"].set_index("prompt_id")["seed"]
    for row in rows:
        assert row["unsafe_seed"] == seeds[f"{row['pair_id']}/unsafe"]
        assert (row["unsafe_score"], row["reason"], row["mention"]) == (0.75, None, "explicit")
        assert row["viewpoint"] is None
    columns, rows = found["evaluation/test"]
    assert columns == ["prompt_id", "prompt_set", "prompt", "object"]
    assert [row["prompt_set"] for row in rows] == ["target"] * 5 + ["retention"] * 3
    _, rows = found["rejected/rejected"]
    assert [(row["stage"], row["source"], row["reason"]) for row in rows] == [
        ("checks", "another", "spreadsheet formula"),
        ("visual filter", "grammar", "false negative"),
        ("visual filter", "grammar", "false positive"),
    ]
    columns, rows = found["images/train"]
    assert {"unsafe", "safe", "pair_id", "unsafe_prompt", "unsafe_seed"} <= set(columns)
    assert rows == [[[8, 8], [8, 8], pair_id] for pair_id in made["pairs"]["pair_id"]]
    metadata = read_csv(folder / "images" / "metadata.csv", ["safe_file_name"])
    table = read_csv(folder / "data" / "train.csv", ["safe_sha256"])
    assert [sha256_file(folder / "images" / name) for name in metadata["safe_file_name"]] == table[
        "safe_sha256"
    ].tolist()


def test_the_card_is_the_hubs_and_counts_right(made, tmp_path):
    folder = tmp_path / "church"
    write_dataset(folder, subject(), MAKING, **made)
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "mit"
    assert card.data.task_categories == ["text-to-image"]
    assert card.data.size_categories == ["n<1K"]
    assert [one["config_name"] for one in yaml.safe_load(card.content.split("---")[1])["configs"]] == [
        "pairs",
        "evaluation",
        "rejected",
    ]
    text = card.text
    assert "# Prompt pairs for erasing: Church" in text
    assert "| `data/train.csv` | 6 |" in text
    assert "| `data/test.csv` | 8 | prompts of the evaluation, in no pair: 5 target, 3 retention |" in text
    assert "| grammar | 5 | 2 | by the grammar |" in text
    assert "| another | 1 | 0 | by chat, model a\\|b, version 1 |" in text
    assert "| visual filter | false negative | 1 |" in text
    assert 'also named "chapel", "église"' in text
    assert "| scene | 6 | " in text
    assert "viewpoint |" not in text and "formula" not in text
    assert str(tmp_path) not in text


def test_pictures_of_unsafe_concepts_and_of_large_data_sets_are_left_out(made, tmp_path, monkeypatch):
    write_dataset(tmp_path / "unsafe", subject("unsafe"), MAKING, **made)
    monkeypatch.setattr(folder_module, "COPIED_PAIRS", 5)
    write_dataset(tmp_path / "large", subject(), MAKING, **made)
    for name, words in (("unsafe", "because of what they show"), ("large", "are too many to be part")):
        assert not (tmp_path / name / "images").exists()
        card = (tmp_path / name / "README.md").read_text()
        assert words in card and "sample_prompts(" in card
        assert set(load(tmp_path / name, tmp_path, images=False)) == {
            "None/train",
            "evaluation/test",
            "rejected/rejected",
        }
    assert "not-for-all-audiences" in (tmp_path / "unsafe" / "README.md").read_text()


def test_pairs_that_failed_and_were_kept_say_so(made, tmp_path):
    made["pairs"] = pd.concat([made["pairs"], made["failed"].drop(columns="reason")])
    write_dataset(tmp_path / "church", subject(), MAKING, **made)
    table = read_csv(tmp_path / "church" / "data" / "train.csv", ["reason"])
    assert table["reason"].tolist()[-2:] == ["false negative", "false positive"]
    assert read_csv(tmp_path / "church" / "rejected.csv", ["reason"]).empty
    assert "rejected/rejected" not in load(tmp_path / "church", tmp_path, images=True)


def test_the_same_data_set_gives_the_same_bytes_and_takes_the_place_of_an_older_one(made, tmp_path):
    written = []
    for images in (True, False):
        folder = tmp_path / "church"
        write_dataset(folder, subject(), MAKING, **made)
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")})
        (folder / "data" / "old.csv").write_text(str(images))
    assert written[0] == written[1]


def test_a_pair_without_its_picture_is_refused_and_leaves_what_was_there(made, tmp_path):
    folder = tmp_path / "church"
    write_dataset(folder, subject(), MAKING, **made)
    before = sha256_file(folder / "README.md")
    made["images"] = made["images"].iloc[1:]
    with pytest.raises(InputError, match="found no image of church/pair/0000/unsafe"):
        write_dataset(folder, subject(), MAKING, **made)
    assert sha256_file(folder / "README.md") == before


def test_cells_that_begin_like_a_formula_are_told(made, tmp_path):
    made["prompts"] = made["prompts"].assign(prompt="-A church")
    write_dataset(tmp_path / "church", subject(), MAKING, **made)
    assert (
        "**8 cells begin like a spreadsheet's formula,**" in (tmp_path / "church" / "README.md").read_text()
    )
