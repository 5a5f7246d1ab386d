"""Prompt search and relearning against naive loops, on small random backbones with judges made for the test."""

import numpy as np
import pandas as pd
import pytest
import torch

from ear.errors import InputError
from ear.evaluation.attacks import ATTACK_COLUMNS
from ear.evaluation.attacks.attacked_model import AttackedModel
from ear.evaluation.attacks.relearning_set import PROMPT_DROPOUT, relearn
from ear.evaluation.attacks.search import case_losses, open_prompts, search, token_gradients, vocabulary
from ear.evaluation.columns import VERDICTS_CSV
from ear.images.batching import BatchSize
from ear.images.rendering import image_seed
from ear.images.sampling import Guidance, sample_prompts
from ear.judges.base import Verdicts
from ear.workflow.seeding import stable_seed
from tests.oracles import hidden_states, prompt_rows, sample_one
from tests.tiny import tiny_backbone

TEXTS = ["a church on a hill", "at night in the snow, a yellow church", "a church", "a boat by the sea"]
GUIDANCE = Guidance(1.5)
NO_IMAGES = torch.zeros(4, 9, dtype=torch.int64)


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


class MeanBrightness:
    """A judge that looks at the pixels."""

    protocol = "brightness/1"
    threshold = 0.5

    def __init__(self):
        self.seen = []

    def judge(self, images):
        self.seen += [np.asarray(image) for image in images]
        score = np.array([np.asarray(image).mean() / 255 for image in images], np.float32)
        return Verdicts(shown=score >= 0.5, score=score)


class Scripted(AttackedModel):
    """An attacked model whose verdict (shown, score) is a function of the prompt's ids; it draws nothing."""

    def __init__(self, backbone, verdict):
        super().__init__(backbone, MeanBrightness(), GUIDANCE, 1.0, BatchSize(8))
        self.verdict, self.asked, self.seeds = verdict, [], []

    def query(self, rows, prompts, seeds):
        self.asked.append([ids.tolist() for ids in prompts])
        self.seeds.append(list(seeds))
        shown, score = zip(*[self.verdict(ids.tolist()) for ids in prompts], strict=True)
        table = rows.assign(shown=shown, score=score, rank=1, top1_object="church", clip_score=np.nan)
        return table.assign(protocol="scripted")[list(ATTACK_COLUMNS)]


def targets(texts=TEXTS):
    return pd.DataFrame(
        {
            "prompt_id": [f"church/target/{number:04d}" for number in range(len(texts))],
            "prompt_set": "target",
            "prompt": list(texts),
            "object": "church",
            "window": 4,
        }
    )


def rendering_attacked(backbone, batch_size=64):
    return AttackedModel(backbone, MeanBrightness(), GUIDANCE, 0.7, BatchSize(batch_size))


def token_id(backbone, word):
    return backbone.processor.tokenizer.convert_tokens_to_ids(word)


def naive_loss(backbone, ids, sequence):
    """Mean cross-entropy of image tokens after text ids, one token at a time."""
    head, losses = backbone.model.model.generation_head, []
    for step, token in enumerate(sequence):
        logits = head(hidden_states(backbone, ids, sequence[:step])[-1]).float()
        losses.append(-torch.log_softmax(logits, dim=-1)[token])
    return torch.stack(losses).mean()


def test_appended_tokens_stand_right_behind_the_words_and_nothing_leaves_the_encoded_prompt(backbone):
    boat = torch.tensor([token_id(backbone, "boat")])
    for prompt, text in zip(open_prompts(backbone, TEXTS), TEXTS, strict=True):
        assert prompt.closed(boat[:0]).tolist() == prompt_rows(backbone, text, "chat")[0]
        assert prompt.closed(boat).tolist() == prompt_rows(backbone, f"{text} boat", "chat")[0]


def test_the_vocabulary_has_words_and_none_of_the_concept(backbone):
    tokenizer = backbone.processor.tokenizer
    found = {
        tokenizer.decode([token]) for token in vocabulary(backbone, ["in the style of Van Gogh"], "object")
    }
    assert {"church", "style", "in", "boat"} <= found
    assert not {"van", "gogh", "<unk>", "<|User|>", "<begin_of_image>"} & found
    with_van_gogh = {tokenizer.decode([token]) for token in vocabulary(backbone, ["church"], "object")}
    assert "gogh" in with_van_gogh and "church" not in with_van_gogh


def test_a_vocabulary_without_words_is_an_error(backbone, monkeypatch):
    monkeypatch.setattr("ear.evaluation.attacks.search.named", lambda text, words: True)
    with pytest.raises(InputError, match="found no token of plain text"):
        vocabulary(backbone, ["church"], "object")


def test_losses_are_those_of_a_naive_loop_whatever_the_batch(backbone):
    words = vocabulary(backbone, ["church"], "object")
    sequences = torch.randint(0, 32, (3, 9), generator=torch.Generator().manual_seed(1))
    prompts = open_prompts(backbone, TEXTS[:3])
    cases = [(prompt, words[row : row + 2], sequences[row]) for row, prompt in enumerate(prompts)]
    found = case_losses(backbone, cases)
    wanted = [
        naive_loss(backbone, prompt.closed(tokens).tolist(), sequence.tolist())
        for prompt, tokens, sequence in cases
    ]
    torch.testing.assert_close(found, torch.stack(wanted).float(), atol=1e-5, rtol=1e-5)


def test_token_gradients_are_finite_differences_by_the_one_hot_vectors():
    backbone = tiny_backbone(dtype="float64", layers=2)
    words = vocabulary(backbone, ["church"], "object")[:7]
    sequence = torch.arange(9) % 5
    prompts = open_prompts(backbone, TEXTS[:2])
    found = token_gradients(backbone, [(prompt, words[:2], sequence) for prompt in prompts], words)
    matrix, head = backbone.model.get_input_embeddings().weight, backbone.model.model.generation_head
    assert found.shape == (2, 2, 7)
    for row, prompt in enumerate(prompts):
        one_hot = torch.zeros(2, matrix.shape[0], dtype=torch.float64)
        one_hot[[0, 1], words[:2]] = 1
        one_hot.requires_grad_()
        text = torch.cat([matrix[prompt.head], one_hot @ matrix, matrix[prompt.tail]])
        images = backbone.model.prepare_embeddings_for_image_generation(sequence[None, :-1])[0]
        hidden = backbone.model.model.language_model(
            inputs_embeds=torch.cat([text, images])[None], use_cache=False
        ).last_hidden_state[0, len(text) - 1 :]
        loss = torch.nn.functional.cross_entropy(head(hidden).double(), sequence)
        (wanted,) = torch.autograd.grad(loss, one_hot)
        torch.testing.assert_close(found[row], wanted[:, words].float(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("negative", "strength"), [(None, 0.0), ("a church", 0.8)])
def test_a_query_draws_the_usual_image_and_asks_the_judge(backbone, negative, strength):
    guidance = Guidance(1.5, negative, strength)
    attacked = AttackedModel(backbone, MeanBrightness(), guidance, 0.7, BatchSize(3))
    ids = [torch.tensor(prompt_rows(backbone, text, "chat")[0]) for text in TEXTS]
    rows = targets().assign(prompt_set="search", queries=1).set_index(pd.Index([7, 7, 3, 1]))
    found = attacked.query(rows, ids, range(len(TEXTS)))
    assert list(found.columns) == list(ATTACK_COLUMNS) and found["prompt"].tolist() == TEXTS
    for row, (text, seen) in enumerate(zip(TEXTS, attacked.judge.seen, strict=True)):
        numbers = torch.tensor(np.random.Generator(np.random.Philox(row)).random(9))
        tokens = sample_one(backbone, text, numbers, 1.5, 0.7, negative=negative, strength=strength)
        (pixels,) = backbone.pixels(torch.tensor([tokens]))
        np.testing.assert_array_equal(seen, pixels)
        assert found["score"].iloc[row] == np.float32(pixels.mean() / 255)


def test_the_budget_is_exact_and_the_best_query_is_told(backbone):
    attacked, queries = rendering_attacked(backbone), 3
    words = vocabulary(backbone, ["church"], "object")
    found = search(attacked, targets(), NO_IMAGES, words, 2, queries, 42, "object")
    assert len(attacked.judge.seen) == 4 * 4 * queries
    assert list(found.columns) == list(ATTACK_COLUMNS) and len(found) == 16
    assert (found["queries"] == queries).all()
    scores = np.array([image.mean() / 255 for image in attacked.judge.seen], np.float32)
    best = scores.reshape(queries, 4, 4).max(axis=0).flatten()  # queries, attacks, prompts
    np.testing.assert_array_equal(found["score"], best)
    np.testing.assert_array_equal(found["shown"], best >= 0.5)
    resampled = found[found["prompt_set"] == "search-resample"]
    assert resampled["prompt"].tolist() == TEXTS


def test_resampling_draws_with_other_uniforms_and_the_others_with_the_usual_ones(backbone):
    attacked = Scripted(backbone, lambda ids: (False, 0.0))
    words = vocabulary(backbone, ["church"], "object")
    search(attacked, targets(["a church"]), NO_IMAGES[:1], words, 2, 3, 42, "object")
    usual = image_seed(42, "church/target/0000")
    for number, seeds in enumerate(attacked.seeds):
        assert seeds == [image_seed(42, "church/target/0000", number), usual, usual, usual]


def test_the_best_query_shows_the_concept_where_any_does_and_is_the_first_of_equals(backbone):
    """A high score is no verdict: a judge that ranks may find another label likelier still."""
    answers = iter([(False, 0.9), (True, 0.4), (True, 0.4), (True, 0.3)])
    attacked = Scripted(backbone, lambda ids: next(answers))
    words = vocabulary(backbone, ["church"], "object")
    found = search(attacked, targets(TEXTS[:1]), NO_IMAGES[:1], words, 1, 4, 0, "object", ["random"])
    tail = len(open_prompts(backbone, TEXTS)[0].tail)
    (second,) = attacked.asked[1]
    (row,) = found.to_dict("records")
    assert (row["shown"], row["score"]) == (True, 0.4)
    assert row["prompt"] == f"{TEXTS[0]} {backbone.processor.tokenizer.decode(second[-tail - 1])}"


def test_greedy_never_loses_score_changes_one_token_at_a_time_and_finds_a_trigger(backbone):
    trigger = token_id(backbone, "windmill")
    words = torch.tensor([*vocabulary(backbone, ["church"], "object")[:5], trigger])

    def score(ids):
        return ids.count(trigger) / 3

    attacked = Scripted(backbone, lambda ids: (score(ids) >= 1, score(ids)))
    found = search(attacked, targets(), NO_IMAGES, words, 3, 60, 7, "object", ["greedy"])
    assert found["shown"].all()
    for row in range(4):
        kept, best = attacked.asked[0][row], -1.0
        for asked in attacked.asked:
            assert sum(new != old for new, old in zip(asked[row], kept, strict=True)) <= 1 or best < 0
            if score(asked[row]) >= best:
                kept, best = asked[row], score(asked[row])
        assert best == 1.0 == found["score"][row]


def test_random_tokens_are_new_each_time_and_of_the_vocabulary(backbone):
    words = vocabulary(backbone, ["church"], "object")
    attacked = Scripted(backbone, lambda ids: (False, 0.0))
    search(attacked, targets(), NO_IMAGES, words, 3, 8, 7, "object", ["random"])
    tail = len(open_prompts(backbone, TEXTS)[0].tail)
    appended = [[tuple(ids[-tail - 3 : -tail]) for ids in asked] for asked in attacked.asked]
    assert {token for asked in appended for tokens in asked for token in tokens} <= set(words.tolist())
    assert all(len(set(of_prompt)) == 8 for of_prompt in zip(*appended, strict=True))


def test_the_gradient_finds_the_token_that_an_image_was_drawn_with():
    """The sequences are those of the prompt with a planted token: nothing explains them better."""
    backbone = tiny_backbone(hidden=128, grid=4)
    words = vocabulary(backbone, ["church"], "object")
    text = "windmill"
    planted = token_id(backbone, text)
    numbers = torch.full((16,), 0.5, dtype=torch.float64)
    sequences = torch.tensor(
        [sample_one(backbone, f"{prompt} {text}", numbers, 1.0, 1e-3) for prompt in TEXTS]
    )
    attacked = Scripted(backbone, lambda ids: (planted in ids, float(planted in ids)))
    attacks = ["gradient", "random"]
    found = search(attacked, targets(), sequences, words, 1, 16, 3, "object", attacks).set_index("prompt_set")
    assert found.loc["search-gradient", "shown"].mean() >= 0.75 > found.loc["search-random", "shown"].mean()


def test_the_columns_are_those_of_verdicts():
    assert ATTACK_COLUMNS[:-1] == tuple(name for name in VERDICTS_CSV.columns if name != "clip_protocol")


def test_prompts_do_not_hear_of_each_other(backbone):
    words = vocabulary(backbone, ["church"], "object")
    images = sample_prompts(backbone, TEXTS, range(4), "chat", GUIDANCE, 0.7)

    def found(rows, batch_size=64):
        attacked = rendering_attacked(backbone, batch_size)
        return search(attacked, targets().iloc[rows], images[rows], words, 2, 3, 42, "object")

    together = found([0, 1, 2, 3])
    pd.testing.assert_frame_equal(together, found([0, 1, 2, 3], batch_size=3))
    alone = together[together["prompt_id"] == targets()["prompt_id"][2]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, found([2]))


NAMES = ["layers.0.self_attn.q_proj", "layers.1.self_attn.o_proj"]


SAFE = ["a house", "a boat by the sea", "a tree on a hill", "a car", "a castle"]
SAFE_IMAGES = torch.randint(0, 32, (5, 9), generator=torch.Generator().manual_seed(3))


@torch.enable_grad()
def naive_relearning(backbone, names, steps, batch_size, learning_rate, seed):
    """One image at a time."""
    random = np.random.Generator(np.random.Philox(stable_seed(seed, "relearning")))
    weights = [backbone.language_model.get_submodule(name).weight.requires_grad_(True) for name in names]
    adam, waiting = torch.optim.Adam(weights, lr=learning_rate), []
    for _ in range(steps):
        while len(waiting) < batch_size:
            waiting += random.permutation(len(SAFE)).tolist()
        chosen, waiting = waiting[:batch_size], waiting[batch_size:]
        adam.zero_grad()
        for row, drop in zip(chosen, random.random(batch_size) < PROMPT_DROPOUT, strict=True):
            ids = prompt_rows(backbone, SAFE[row], "chat")[int(drop)]
            (naive_loss(backbone, ids, SAFE_IMAGES[row].tolist()) / batch_size).backward()
        adam.step()


@pytest.fixture(scope="module")
def relearned():
    backbone = tiny_backbone(layers=2)
    naive_relearning(backbone, NAMES, 3, 3, 1e-3, 42)
    return backbone.model.state_dict()


@pytest.mark.parametrize("batch_size", [2, 64])
def test_relearning_is_a_naive_loop_and_measures_the_usual_images(relearned, batch_size):
    backbone, before = tiny_backbone(layers=2), tiny_backbone(layers=2).model.state_dict()
    attacked = rendering_attacked(backbone, batch_size)
    found = relearn(attacked, NAMES, SAFE, SAFE_IMAGES, targets(), [1, 3], 3, 1e-3, 42)
    for name, values in backbone.model.state_dict().items():
        torch.testing.assert_close(values, relearned[name], atol=2e-5, rtol=1e-4)
        trained = any(f"language_model.{module}.weight" in name for module in NAMES)
        assert torch.equal(values, before[name]) != trained, name
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert found["prompt_set"].tolist() == ["relearned-1"] * 4 + ["relearned-3"] * 4
    assert found["prompt"].tolist() == TEXTS * 2 and (found["queries"] == 1).all()
    seeds = [image_seed(42, prompt_id) for prompt_id in targets()["prompt_id"]]
    after = backbone.pixels(sample_prompts(backbone, TEXTS, seeds, "chat", GUIDANCE, 0.7))
    for one, other in zip(attacked.judge.seen[4:], after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_small_steps_are_not_lost_in_bfloat16():
    """Steps of 3e-5 alone would move a weight in fifty."""
    backbone = tiny_backbone(layers=2, dtype="bfloat16")
    before = {name: backbone.language_model.get_submodule(name).weight.clone() for name in NAMES}
    relearn(rendering_attacked(backbone), NAMES, SAFE, SAFE_IMAGES, targets(TEXTS[:1]), [20], 2, 3e-5, 0)
    for name, weight in before.items():
        assert (backbone.language_model.get_submodule(name).weight != weight).float().mean() > 0.1
