"""Prompt search and relearning against naive loops, on small random backbones with judges made for the test."""

import numpy as np
import pandas as pd
import pytest
import torch

from ear.errors import InputError
from ear.evaluation.attacks.attacked_model import AttackedModel, Verdict
from ear.evaluation.attacks.budget import ATTACK_COLUMNS, SEARCHES
from ear.evaluation.attacks.relearning_set import PROMPT_DROPOUT, fine_tune, relearn
from ear.evaluation.attacks.search import (
    ATTACKS,
    GradientGuided,
    Greedy,
    RandomTokens,
    Resample,
    case_losses,
    open_prompts,
    search,
    token_gradients,
    vocabulary,
)
from ear.evaluation.columns import VERDICTS_CSV
from ear.images.batching import BatchSize
from ear.images.rendering import image_seed
from ear.images.sampling import Guidance, sample_prompts
from ear.judges.base import Verdicts
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
    """A attacked model whose verdict is a function of the prompt's ids; it draws nothing."""

    def __init__(self, backbone, score):
        super().__init__(backbone, MeanBrightness(), GUIDANCE, 1.0, BatchSize(8))
        self.score, self.asked = score, []

    def query(self, prompts, seeds):
        self.queries += len(prompts)
        self.asked.append([ids.tolist() for ids in prompts])
        scores = [float(self.score(ids.tolist())) for ids in prompts]
        return [Verdict(score >= 1, score, None, None) for score in scores]


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


def test_a_prompt_closed_with_nothing_is_the_encoded_prompt(backbone):
    for prompt, text in zip(open_prompts(backbone, TEXTS), TEXTS, strict=True):
        assert prompt.closed(prompt.head.new_empty(0)).tolist() == prompt_rows(backbone, text, "chat")[0]


def test_appended_tokens_stand_right_behind_the_words(backbone):
    (prompt,) = open_prompts(backbone, ["a church"])
    boat = torch.tensor([token_id(backbone, "boat")])
    assert prompt.closed(boat).tolist() == prompt_rows(backbone, "a church boat", "chat")[0]


def test_the_vocabulary_has_words_and_none_of_the_concept(backbone):
    tokenizer = backbone.processor.tokenizer
    found = {
        tokenizer.decode([token]) for token in vocabulary(backbone, ["in the style of Van Gogh"], "object")
    }
    assert {"church", "style", "in", "boat"} <= found
    assert not {"van", "gogh", "<unk>", "<|User|>", "<begin_of_image>"} & found
    with_van_gogh = {tokenizer.decode([token]) for token in vocabulary(backbone, ["church"], "object")}
    assert "gogh" in with_van_gogh and "church" not in with_van_gogh


def test_a_vocabulary_without_words_is_an_error(backbone):
    words = [backbone.processor.tokenizer.decode([token]) for token in range(200)]
    with pytest.raises(InputError, match="found no token of plain text"):
        vocabulary(backbone, words, "object")


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
    cases = [(prompt, words[:2], sequence) for prompt in prompts]
    found = token_gradients(backbone, cases, words)
    matrix, head = backbone.model.get_input_embeddings().weight, backbone.model.model.generation_head
    assert found.shape == (2, 2, 7)
    for row, prompt in enumerate(prompts):
        one_hot = torch.zeros(2, matrix.shape[0], dtype=torch.float64)
        one_hot[[0, 1], words[:2]] = 1

        def loss(vectors, prompt=prompt):
            text = torch.cat([matrix[prompt.head], vectors @ matrix, matrix[prompt.tail]])
            images = backbone.model.prepare_embeddings_for_image_generation(sequence[None, :-1])[0]
            hidden = backbone.model.model.language_model(
                inputs_embeds=torch.cat([text, images])[None], use_cache=False
            ).last_hidden_state[0, len(text) - 1 :]
            return torch.nn.functional.cross_entropy(head(hidden).double(), sequence)

        (wanted,) = torch.autograd.grad(loss(one_hot.requires_grad_()), one_hot)
        torch.testing.assert_close(found[row], wanted[:, words].float(), atol=1e-6, rtol=1e-4)
        for place in range(2):
            for column, word in enumerate(words.tolist()):
                step = torch.zeros_like(one_hot)
                step[place, word] = 4e-3  # the model's norms are in float32, whatever its weights are
                slope = (loss(one_hot + step) - loss(one_hot - step)) / 8e-3
                assert found[row, place, column].item() == pytest.approx(slope.item(), rel=2e-2, abs=2e-3)


def test_a_query_draws_the_usual_image_and_asks_the_judge(backbone):
    attacked = rendering_attacked(backbone)
    ids = [torch.tensor(prompt_rows(backbone, text, "chat")[0]) for text in TEXTS]
    verdicts = attacked.query(ids, range(len(TEXTS)))
    uniforms = [np.random.Generator(np.random.Philox(seed)).random(9) for seed in range(len(TEXTS))]
    for text, numbers, seen, verdict in zip(TEXTS, uniforms, attacked.judge.seen, verdicts, strict=True):
        tokens = sample_one(backbone, text, torch.tensor(numbers), 1.5, 0.7)
        (pixels,) = backbone.pixels(torch.tensor([tokens]))
        np.testing.assert_array_equal(seen, pixels)
        assert verdict.score == np.float32(pixels.mean() / 255)
    assert attacked.queries == len(TEXTS)


def test_a_negative_prompt_holds_under_attack_too(backbone):
    away = Guidance(1.5, "a church", 0.8)
    attacked = AttackedModel(backbone, MeanBrightness(), away, 0.7, BatchSize(8))
    attacked.query([torch.tensor(prompt_rows(backbone, TEXTS[0], "chat")[0])], [5])
    numbers = torch.tensor(np.random.Generator(np.random.Philox(5)).random(9))
    tokens = sample_one(backbone, TEXTS[0], numbers, 1.5, 0.7, negative="a church", strength=0.8)
    np.testing.assert_array_equal(attacked.judge.seen[0], next(backbone.pixels(torch.tensor([tokens]))))


@pytest.mark.parametrize("queries", [1, 4])
def test_the_budget_is_exact_and_the_best_query_is_told(backbone, queries):
    attacked = rendering_attacked(backbone)
    words = vocabulary(backbone, ["church"], "object")
    found = search(attacked, targets(), NO_IMAGES, words, 2, queries, 42, "object")
    assert attacked.queries == 4 * 4 * queries == len(attacked.judge.seen)
    assert list(found.columns) == list(ATTACK_COLUMNS) and len(found) == 16
    assert (found["queries"] == queries).all()
    scores = np.array([image.mean() / 255 for image in attacked.judge.seen], np.float32)
    best = scores.reshape(queries, 4, 4).max(axis=0).flatten()  # queries, attacks, prompts
    np.testing.assert_array_equal(found["score"], best)
    np.testing.assert_array_equal(found["shown"], best >= 0.5)
    resampled = found[found["prompt_set"] == "search-resample"]
    assert resampled["prompt"].tolist() == TEXTS


def test_resampling_draws_with_other_uniforms_and_the_others_with_the_usual_ones(backbone):
    used = []
    attacked = Scripted(backbone, lambda ids: 0)
    query = attacked.query
    attacked.query = lambda prompts, seeds: (used.append(list(seeds)), query(prompts, seeds))[1]
    words = vocabulary(backbone, ["church"], "object")
    search(attacked, targets(["a church"]), NO_IMAGES[:1], words, 2, 3, 42, "object")
    usual = image_seed(42, "church/target/0000")
    for number, seeds in enumerate(used):
        assert seeds == [image_seed(42, "church/target/0000", number), usual, usual, usual]


def test_the_best_query_shows_the_concept_where_any_does(backbone):
    """A high score is no verdict: a judge that ranks may find another label likelier still."""
    attacked = Scripted(backbone, lambda ids: 0)
    answers = iter([Verdict(False, 0.9, 2, "car"), Verdict(True, 0.4, 1, "church")])
    attacked.query = lambda prompts, seeds: [next(answers)]
    words = vocabulary(backbone, ["church"], "object")
    found = search(attacked, targets(TEXTS[:1]), NO_IMAGES[:1], words, 1, 2, 0, "object", [Resample])
    (row,) = found.to_dict("records")
    assert (row["shown"], row["rank"], row["top1_object"]) == (True, 1, "church")
    assert row["score"] == np.float32(0.4)


def trigger_count(trigger):
    return lambda ids: ids.count(trigger) / 3


def test_greedy_never_loses_score_changes_one_token_at_a_time_and_finds_a_trigger(backbone):
    trigger = token_id(backbone, "windmill")
    words = torch.tensor([*vocabulary(backbone, ["church"], "object")[:5], trigger])
    attacked = Scripted(backbone, trigger_count(trigger))
    found = search(attacked, targets(), NO_IMAGES, words, 3, 60, 7, "object", [Greedy])
    assert found["shown"].all()
    for row in range(4):
        kept, best = attacked.asked[0][row], -1.0
        for asked in attacked.asked:
            score = attacked.score(asked[row])
            assert sum(new != old for new, old in zip(asked[row], kept, strict=True)) <= 1 or best < 0
            if score >= best:
                kept, best = asked[row], score
        assert best == 1.0 == found["score"][row]


def test_random_tokens_are_new_each_time_and_of_the_vocabulary(backbone):
    words = vocabulary(backbone, ["church"], "object")
    attacked = Scripted(backbone, lambda ids: 0)
    search(attacked, targets(), NO_IMAGES, words, 3, 8, 7, "object", [RandomTokens])
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
    attacked = Scripted(backbone, lambda ids: planted in ids)
    attacks = [GradientGuided, RandomTokens]
    found = search(attacked, targets(), sequences, words, 1, 16, 3, "object", attacks).set_index("prompt_set")
    assert found.loc["search-gradient", "shown"].mean() >= 0.75 > found.loc["search-random", "shown"].mean()


def test_the_names_are_those_of_the_attacks_and_the_columns_those_of_verdicts():
    assert ATTACK_COLUMNS[:-1] == tuple(name for name in VERDICTS_CSV.columns if name != "clip_protocol")
    assert tuple(attack.name for attack in ATTACKS) == SEARCHES


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_prompts_do_not_hear_of_each_other(backbone, attack):
    words = vocabulary(backbone, ["church"], "object")
    images = sample_prompts(backbone, TEXTS, range(4), "chat", GUIDANCE, 0.7)
    rows = targets()
    together = search(rendering_attacked(backbone), rows, images, words, 2, 3, 42, "object", [attack])
    again = search(rendering_attacked(backbone, 3), rows, images, words, 2, 3, 42, "object", [attack])
    alone = [
        search(rendering_attacked(backbone), rows[one], images[one], words, 2, 3, 42, "object", [attack])
        for one in (slice(row, row + 1) for row in range(4))
    ]
    pd.testing.assert_frame_equal(together, again)
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))


NAMES = ["layers.0.self_attn.q_proj", "layers.1.self_attn.o_proj"]


SAFE = ["a house", "a boat by the sea", "a tree on a hill", "a car", "a castle"]
SAFE_IMAGES = torch.randint(0, 32, (5, 9), generator=torch.Generator().manual_seed(3))


def naive_adam(backbone, names, steps, batch_size, learning_rate, seed):
    """Adam from its paper, one image at a time."""
    random = np.random.Generator(np.random.Philox(seed))
    weights = {name: backbone.language_model.get_submodule(name).weight for name in names}
    first = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    second = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    waiting = []
    for step in range(1, steps + 1):
        while len(waiting) < batch_size:
            waiting += random.permutation(len(SAFE)).tolist()
        chosen, waiting = waiting[:batch_size], waiting[batch_size:]
        dropped = random.random(batch_size) < PROMPT_DROPOUT
        total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for row, drop in zip(chosen, dropped, strict=True):
            ids = prompt_rows(backbone, SAFE[row], "chat")[int(drop)]
            for weight in weights.values():
                weight.requires_grad_(True)
            loss = naive_loss(backbone, ids, SAFE_IMAGES[row].tolist())
            for name, grad in zip(names, torch.autograd.grad(loss, list(weights.values())), strict=True):
                total[name] += grad / batch_size
            for weight in weights.values():
                weight.requires_grad_(False)
        for name, weight in weights.items():
            first[name] = 0.9 * first[name] + 0.1 * total[name]
            second[name] = 0.999 * second[name] + 0.001 * total[name] ** 2
            mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
            weight -= learning_rate * mean / (square.sqrt() + 1e-8)


@pytest.mark.parametrize("micro_batch", [1, 2, 64])
def test_relearning_is_a_naive_adam(micro_batch):
    ours, naive = tiny_backbone(layers=2), tiny_backbone(layers=2)
    reached = fine_tune(ours, NAMES, SAFE, SAFE_IMAGES, [2, 4], 3, 1e-3, 9, BatchSize(micro_batch))
    for steps in (2, 4):
        assert next(reached) == steps
    assert next(reached, None) is None
    naive_adam(naive, NAMES, 4, 3, 1e-3, 9)
    before = tiny_backbone(layers=2).model.state_dict()
    for (name, found), wanted in zip(
        ours.model.state_dict().items(), naive.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)
        trained = any(f"language_model.{module}.weight" in name for module in NAMES)
        assert torch.equal(found, before[name]) != trained, name
    assert not any(parameter.requires_grad for parameter in ours.model.parameters())


def test_small_steps_are_not_lost_in_bfloat16():
    backbone = tiny_backbone(layers=2, dtype="bfloat16")
    before = {name: backbone.language_model.get_submodule(name).weight.clone() for name in NAMES}
    list(fine_tune(backbone, NAMES, SAFE, SAFE_IMAGES, [60], 2, 1e-5, 0, BatchSize(8)))
    for name, weight in before.items():
        change = (backbone.language_model.get_submodule(name).weight - weight).float()
        assert change.abs().sum() > 0


def test_relearning_lowers_the_loss_and_measures_the_usual_images():
    backbone = tiny_backbone(layers=2)
    attacked = rendering_attacked(backbone)
    found = relearn(attacked, NAMES, SAFE, SAFE_IMAGES, targets(), [1, 5], 3, 1e-3, 42)
    assert found["prompt_set"].tolist() == ["relearned-1"] * 4 + ["relearned-5"] * 4
    assert found["prompt"].tolist() == TEXTS * 2 and (found["queries"] == 1).all()
    assert attacked.queries == 8
    after = rendering_attacked(backbone)
    after.query(
        [torch.tensor(prompt_rows(backbone, text, "chat")[0]) for text in TEXTS],
        [image_seed(42, prompt_id) for prompt_id in targets()["prompt_id"]],
    )
    for one, other in zip(attacked.judge.seen[4:], after.judge.seen, strict=True):
        np.testing.assert_array_equal(one, other)

    def loss(model):
        rows = zip(SAFE, SAFE_IMAGES.tolist(), strict=True)
        return sum(naive_loss(model, prompt_rows(model, text, "chat")[0], row) for text, row in rows)

    assert loss(backbone) < loss(tiny_backbone(layers=2))
