"""Concept inversion against a naive loop, on small random backbones with a judge made for the test."""

import numpy as np
import pandas as pd
import pytest
import torch

from ear.errors import InputError
from ear.evaluation.attacks import ATTACK_COLUMNS
from ear.evaluation.attacks.inversion import embedded, invert, inverted_ids, learn, placeholder
from ear.evaluation.metrics_table import with_attacks
from ear.images.rendering import image_seed
from ear.images.sampling import sample_prompts
from ear.judges.base import Verdicts
from ear.workflow.files import read_csv, write_csv
from tests.oracles import naive_inversion, prompt_rows, sample_one
from tests.tiny import tiny_backbone
from tests.unit.evaluation.test_attacks import GUIDANCE, rendering_attacked, targets, token_id

TEXTS = ["a church on a hill", "at night in the snow, a yellow church", "a church", "a boat by the sea"]
IMAGES = torch.randint(0, 32, (2, 9), generator=torch.Generator().manual_seed(5))


class Scripted:
    """A judge that sees the concept in some of the first images, and in none of those after them."""

    protocol = "scripted/1"

    def __init__(self, *shown):
        self.shown, self.seen = list(shown), []

    def judge(self, images):
        self.seen += [np.asarray(image) for image in images]
        shown = np.array([bool(self.shown) and self.shown.pop(0) for _ in images])
        return Verdicts(shown=shown, score=shown.astype(np.float32))


def ids_of(backbone, texts):
    return [inverted_ids(backbone, text, ["church"], placeholder(backbone)) for text in texts]


def test_the_placeholder_stands_where_the_name_stood_or_behind_the_words():
    backbone = tiny_backbone()
    church, boat = (token_id(backbone, word) for word in ("church", "boat"))
    for text in TEXTS[:3]:
        assert (
            inverted_ids(backbone, text, ["church"], church).tolist()
            == prompt_rows(backbone, text, "chat")[0]
        )
    appended, *_ = prompt_rows(backbone, "a boat by the sea boat", "chat")
    assert inverted_ids(backbone, TEXTS[3], ["church"], boat).tolist() == appended
    twice, *_ = prompt_rows(backbone, "a boat , a boat", "chat")
    assert inverted_ids(backbone, "a church, a church", ["church"], boat).tolist() == twice


@pytest.mark.parametrize("batch_size", [1, 8])
def test_learning_is_a_naive_loop_and_no_weight_changes(batch_size):
    backbone = tiny_backbone(dtype="float64", layers=2)
    before, ids = backbone.fingerprint(), ids_of(backbone, TEXTS[:2])
    start = torch.linspace(-1, 1, 32)
    found = learn(backbone, ids, IMAGES, start, 3, 0.05, batch_size)
    wanted, losses = naive_inversion(backbone, ids, IMAGES, start, 3, 0.05)
    torch.testing.assert_close(found, wanted.float(), atol=1e-5, rtol=1e-5)
    assert losses[0] > losses[1] > losses[2]
    assert backbone.fingerprint() == before and "embed_text" not in vars(backbone)
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_an_embedding_of_a_word_draws_as_the_word_does_and_afterwards_all_is_as_before():
    backbone = tiny_backbone()
    before = sample_prompts(backbone, TEXTS, range(4), "chat", GUIDANCE, 0.7)
    attacked = rendering_attacked(backbone)
    rows = targets().assign(prompt_set="inversion", queries=1)
    word = backbone.model.get_input_embeddings().weight[token_id(backbone, "church")]
    with embedded(backbone, word):
        attacked.query(rows[:3], ids_of(backbone, TEXTS[:3]), range(3))
    for seen, pixels in zip(attacked.judge.seen, backbone.pixels(before[:3]), strict=True):
        np.testing.assert_array_equal(seen, pixels)
    assert torch.equal(sample_prompts(backbone, TEXTS, range(4), "chat", GUIDANCE, 0.7), before)


def test_images_with_the_concept_are_learned_from_and_the_other_prompts_rendered():
    backbone = tiny_backbone(layers=2)
    attacked = rendering_attacked(backbone)
    attacked.judge = Scripted(False, True)
    words = torch.tensor([token_id(backbone, word) for word in ("boat", "house")])
    found = invert(attacked, ["church"], words, IMAGES, targets(), 2, 0.05, 42)
    assert list(found.columns) == list(ATTACK_COLUMNS)
    assert found["prompt_set"].tolist() == ["inversion"] * 2 + ["inversion-control"] * 2
    assert found["prompt"].tolist() == ["a *", "a boat by the sea *"] * 2
    assert found["prompt_id"].tolist() == ["church/target/0002", "church/target/0003"] * 2
    matrix = backbone.model.get_input_embeddings().weight
    start = (matrix[words[0]] + matrix[words[1]]) / 2
    wanted, _ = naive_inversion(backbone, ids_of(backbone, TEXTS[1:2]), IMAGES[1:], start, 2, 0.05)
    learned = learn(backbone, ids_of(backbone, TEXTS[1:2]), IMAGES[1:], start, 2, 0.05, 8)
    torch.testing.assert_close(learned, wanted.float(), atol=1e-4, rtol=1e-4)
    seed = image_seed(42, "church/target/0002")
    numbers = torch.from_numpy(np.random.Generator(np.random.Philox(seed)).random(9))
    matrix[token_id(backbone, "church")] = learned
    tokens = sample_one(backbone, "a church", numbers, 1.5, 0.7)
    (pixels,) = backbone.pixels(torch.tensor([tokens]))
    np.testing.assert_array_equal(attacked.judge.seen[2], pixels)
    assert any((a != b).any() for a, b in zip(attacked.judge.seen[2:4], attacked.judge.seen[4:], strict=True))


def invert_with(*shown, rows):
    attacked = rendering_attacked(tiny_backbone(layers=1))
    attacked.judge = Scripted(*shown)
    return invert(attacked, ["church"], torch.arange(20, 30), IMAGES, targets()[:rows], 1, 0.05, 42)


def test_nothing_to_render_is_an_error():
    with pytest.raises(InputError, match="found 2 target"):
        invert_with(True, True, rows=2)


def test_of_a_concept_that_the_original_does_not_draw_there_are_no_rows_and_one_warning(caplog, tmp_path):
    found = invert_with(False, False, rows=4)
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "first 2 images shows the concept: raise axes.inversion.images" in record.getMessage()
    write_csv(tmp_path / "verdicts.csv", pd.concat([found], ignore_index=True))
    read = read_csv(tmp_path / "verdicts.csv", ATTACK_COLUMNS)
    assert read.empty and with_attacks(targets(), read).equals(targets())
