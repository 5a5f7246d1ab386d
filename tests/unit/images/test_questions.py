"""Yes/no questions: what is asked, and the answers, held to transformers' own generation."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ear.errors import InputError
from ear.evaluation.metrics.answers import question_rows
from ear.images.captions import ANSWER_COLUMNS, answer_shard, answer_tokens, questions_about, yes_scores
from ear.models.chat_format import caption_prompt, question
from ear.workflow.files import write_csv
from tests.tiny import tiny_backbone

CAPTIONS = [
    "a house by the sea",
    "a church on a hill",
    "a red boat on fire",
    "churches at night in the style of Van Gogh",
    "a lighthouse",
    "a car",
]
OTHERS = ["house", "boat", "lighthouse", "on fire", "in the style of Van Gogh"]


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(grid=8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = []
    for number, caption in enumerate(CAPTIONS):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append((f"captions/{number}", f"{number}.png", json.dumps([caption])))
    write_csv(tmp_path / "manifest.csv", pd.DataFrame(rows, columns=["image_id", "file", "references"]))
    return tmp_path / "manifest.csv"


def test_pictures_with_the_concept_and_as_many_without_are_asked(pictures):
    asked = questions_about(pd.read_csv(pictures), ["church"], OTHERS)
    concept = asked[asked["about"] == "concept"]
    assert dict(zip(concept["image_id"], concept["wanted"], strict=True)) == {
        "captions/0": "no",
        "captions/1": "yes",
        "captions/2": "no",
        "captions/3": "yes",
    }
    assert set(concept["words"]) == {"church"}


def test_other_things_are_by_turns_those_that_are_there_and_those_that_are_not(pictures):
    asked = questions_about(pd.read_csv(pictures), ["church"], OTHERS)
    others = asked[asked["about"] == "others"].set_index("image_id")
    # the second picture's turn is a "no", the third one's a "yes"; the first has a house and nothing else
    assert (others.loc["captions/0", ["words", "wanted"]] == ["house", "yes"]).all()
    assert others.loc["captions/1", "wanted"] == "no" and others.loc["captions/3", "wanted"] == "no"
    assert others.loc["captions/2", "words"] in ("boat", "on fire")
    assert others.loc["captions/2", "wanted"] == "yes"
    assert others.loc["captions/3", "words"] not in ("in the style of Van Gogh", "church")


def test_all_names_of_a_concept_count_and_none_gives_no_questions(pictures):
    table = pd.read_csv(pictures)
    asked = questions_about(table, ["church", "house"], [])
    assert asked["wanted"].tolist() == ["yes", "yes", "no", "yes", "no", "no"]
    assert set(asked["words"]) == {"church"}
    assert questions_about(table, ["windmill"], OTHERS).empty


def test_a_score_is_that_of_the_first_token_that_transformers_generates(backbone, pictures, monkeypatch):
    monkeypatch.setattr("ear.images.captions.ANSWERED", 4)
    files = [pictures.parent / f"{number}.png" for number in range(6)]
    found = yes_scores(backbone, files, "church")
    yes, no = (backbone.processor.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    assert answer_tokens(backbone) == ([yes], [no])
    text = caption_prompt(backbone.processor, question("church"))
    assert backbone.processor.tokenizer.unk_token_id not in backbone.processor.tokenizer(text).input_ids
    for file, score in zip(files, found, strict=True):
        inputs = backbone.processor(text=text, images=Image.open(file), return_tensors="pt")
        output = backbone.model.generate(
            **inputs,
            generation_mode="text",
            do_sample=False,
            max_new_tokens=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        chances = torch.softmax(output.logits[0][0].double(), dim=-1)
        assert score == pytest.approx(float(chances[yes] / (chances[yes] + chances[no])), abs=1e-5)


def test_the_likeliest_way_to_begin_an_answer_counts(backbone, monkeypatch, pictures):
    files = [pictures.parent / "0.png"]
    ids = backbone.processor.tokenizer.convert_tokens_to_ids
    yes, no, boat = ids("yes"), ids("no"), ids("boat")

    def score(*tokens):
        monkeypatch.setattr("ear.images.captions.answer_tokens", lambda _: tokens)
        return yes_scores(backbone, files, "church")[0]

    assert score([yes, boat], [no]) == max(score([yes], [no]), score([boat], [no]))


def test_a_tokenizer_that_knows_neither_word_is_an_error():
    backbone = SimpleNamespace(tokenizer=lambda text, **_: SimpleNamespace(input_ids=[7]))
    with pytest.raises(InputError, match="found the same tokens for yes and no"):
        answer_tokens(backbone)


def test_shards_are_the_whole_and_answers_are_the_likelier_word(backbone, pictures):
    whole = answer_shard(backbone, pictures, ["church"], OTHERS, 0, 1, "asking")
    assert list(whole.columns) == ANSWER_COLUMNS and len(whole) == 8
    assert whole["answered"].tolist() == ["yes" if score > 0.5 else "no" for score in whole["score"]]
    parts = [answer_shard(backbone, pictures, ["church"], OTHERS, shard, 3, "asking") for shard in range(3)]
    keys = ["image_id", "about"]
    together = pd.concat(parts).sort_values(keys, ignore_index=True)
    columns = [name for name in ANSWER_COLUMNS if name != "score"]
    pd.testing.assert_frame_equal(together[columns], whole.sort_values(keys, ignore_index=True)[columns])
    np.testing.assert_allclose(
        together["score"], whole.sort_values(keys, ignore_index=True)["score"], atol=1e-6
    )


def test_accuracy_is_the_share_of_right_answers_by_what_was_asked(tmp_path):
    rows = [
        ("captions/0", "concept", "church", "yes", "yes", 0.9),
        ("captions/1", "concept", "church", "no", "yes", 0.6),
        ("captions/0", "others", "boat", "no", "no", 0.1),
    ]
    table = pd.DataFrame(rows, columns=ANSWER_COLUMNS)
    write_csv(tmp_path / "0.csv", table[:1])
    write_csv(tmp_path / "1.csv", table[1:])
    found = question_rows([tmp_path / "0.csv", tmp_path / "1.csv"])
    assert [(row["prompt_set"], row["metric"], row["value"], row["n"]) for row in found] == [
        ("questions-concept", "accuracy", 0.5, 2),
        ("questions-others", "accuracy", 1.0, 1),
    ]
    write_csv(tmp_path / "none.csv", table[:0])
    assert question_rows([tmp_path / "none.csv"]) == question_rows([]) == []
