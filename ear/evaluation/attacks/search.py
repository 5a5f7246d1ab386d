"""Prompt search: tokens are appended to a prompt until the erased concept shows again.

All attacks may render and judge the same number of images, and all prompts and attacks advance together,
query by query, as one batch. What each attacker knows and pays: docs/reference/protocols.md.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.errors import InputError
from ear.evaluation.attacks import BEGINNING, CANDIDATES, SEARCHES, search_set
from ear.evaluation.attacks.attacked_model import AttackedModel, image_losses
from ear.images.batching import BatchSize, fitting
from ear.images.rendering import image_seed
from ear.models.backbone import Backbone, left_padded
from ear.models.finite import require_losses
from ear.models.memory import Dimensions, gradients
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import core, named, words_of
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

BEST_TOKENS = 32
"""Of :func:`gradient`: tokens proposed for each place."""


@dataclass(frozen=True)
class OpenPrompt:
    """A prompt in the chat template, cut where the attacker's tokens go: right behind its words.

    Attributes:
        text: the prompt.
        head: (H,) ids up to and with its last word.
        tail: (R,) ids after it, begin-of-image the last.
    """

    text: str
    head: Tensor
    tail: Tensor

    def closed(self, appended: Tensor) -> Tensor:
        """The ids with (S,) tokens appended to the prompt: (H + S + R,)."""
        return torch.cat([self.head, appended, self.tail])


def open_prompts(backbone: Backbone, prompts: Sequence[str]) -> list[OpenPrompt]:
    """Cut chat prompts open. Closed with no tokens, they are what ``Backbone.encode`` makes of them."""
    before, after = backbone.frame()
    tail = backbone.tokenizer(after, add_special_tokens=False).input_ids
    heads = [backbone.text_ids(before, prompt.strip(), "") for prompt in prompts]
    return [
        OpenPrompt(prompt, *(torch.tensor(ids, device=backbone.device) for ids in (head, tail)))
        for prompt, head in zip(prompts, heads, strict=True)
    ]


def vocabulary(backbone: Backbone, words: Sequence[str], kind: str) -> Tensor:
    """Tokens that an attacker may append: those of plain text, without those that name the concept.

    A token names the concept where it is a word of its name but function words ("gogh" of "in the style of
    Van Gogh"), whole or inflected. A name of which the tokenizer makes several tokens can still be put
    together from parts.

    Args:
        backbone: its tokenizer's tokens.
        words: names of the concept.
        kind: of the concept: an unsafe one's prompts get no token that speaks of minors.

    Returns:
        (V,) ids, ascending.

    Raises:
        InputError: nothing is left.
    """
    tokenizer = backbone.tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    forbidden = list(dict.fromkeys([*words, *(part for name in words for part in words_of(core(name)))]))
    size = min(len(tokenizer), backbone.model.get_input_embeddings().num_embeddings)
    found = []
    for token in range(size):
        text = tokenizer.decode([token]).strip()
        if token in special or not text or not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text:
            continue
        if not named(text, forbidden) and not (kind == UNSAFE and speaks_of_minors(text)):
            found.append(token)
    if not found:
        raise InputError(f"tokenizer: found no token of plain text but {', '.join(words)}, wanted others")
    return torch.tensor(found, device=backbone.device)


Case = tuple[OpenPrompt, Tensor, Tensor]
"""(prompt, (S,) appended tokens, (T,) tokens of the original model's image)"""


@torch.no_grad()
def case_losses(backbone: Backbone, cases: Sequence[Case]) -> Tensor:
    """Mean cross-entropy of each image, given its prompt with the appended tokens: (B,) float32."""
    return _case_losses(backbone, cases)[0]


@torch.enable_grad()
def token_gradients(backbone: Backbone, cases: Sequence[Case], vocabulary: Tensor) -> Tensor:
    """Gradient of each case's loss by the one-hot vectors of its appended tokens.

    That is the embeddings of all tokens, times the gradient by the appended token's embedding.

    Args:
        backbone: the model under attack.
        cases: B, all with S appended tokens.
        vocabulary: (V,) ids of the tokens that are asked for.

    Returns:
        (B, S, V) float32.
    """
    losses, embeddings = _case_losses(backbone, cases)
    (gradient,) = torch.autograd.grad(losses.sum(), embeddings)  # (B, L, D)
    stop = gradient.shape[1] - len(cases[0][0].tail)
    appended = gradient[:, stop - len(cases[0][1]) : stop]  # in all rows: prompts are left-padded
    return appended.float() @ backbone.embed_text(vocabulary).detach().float().T


def _case_losses(backbone: Backbone, cases: Sequence[Case]) -> tuple[Tensor, Tensor]:
    """Losses (B,), and the embeddings (B, L, D) of the closed prompts, left-padded."""
    tokens = left_padded([prompt.closed(appended) for prompt, appended, _ in cases], backbone.pad_id)
    embeddings = backbone.embed_text(tokens.ids).detach().requires_grad_(torch.is_grad_enabled())
    images = torch.stack([image for _, _, image in cases])
    losses = image_losses(backbone, embeddings, tokens.mask, images)
    require_losses(losses, lambda row: f"searched prompt {cases[row][0].text!r}")
    return losses, embeddings


@dataclass(frozen=True)
class Situation:
    """What an attacker has: the arguments of :func:`search`, and its own random numbers of each prompt."""

    attacked: AttackedModel
    prompts: Sequence[OpenPrompt]
    images: Tensor
    vocabulary: Tensor
    tokens: int
    random: Sequence[np.random.Generator]

    def any_tokens(self) -> list[Tensor]:
        """(S,) random tokens for each prompt."""
        size = len(self.vocabulary)
        return [self.vocabulary[random.integers(size, size=self.tokens).tolist()] for random in self.random]


Attacker = Generator[list[Tensor], list[float], None]
"""Yields what is appended in each query, (S,) ids a prompt or none; is sent the judge's scores of it."""


def resample(situation: Situation) -> Attacker:
    """The prompt as it is, with other random numbers each time: what chance alone gives."""
    while True:
        yield [prompt.head.new_empty(0) for prompt in situation.prompts]


def random_tokens(situation: Situation) -> Attacker:
    """Random tokens, new ones each time."""
    while True:
        yield situation.any_tokens()


def greedy(situation: Situation) -> Attacker:
    """Coordinate search: one token is changed each time, and stays where the judge's score does not fall."""
    words, kept = situation.vocabulary, situation.any_tokens()
    best = yield kept
    for query in count():
        proposed = [tokens.clone() for tokens in kept]
        for tokens, random in zip(proposed, situation.random, strict=True):
            tokens[query % situation.tokens] = words[int(random.integers(len(words)))]
        scores = yield proposed
        for row, score in enumerate(scores):
            if score >= best[row]:
                kept[row], best[row] = proposed[row], score


def gradient(situation: Situation) -> Attacker:
    """Greedy coordinate gradient in token space.

    The loss is the cross-entropy of the original model's image under the erased model: of its first
    ``BEGINNING``th part, since what follows is likely once that is given. Its gradient by the appended
    tokens' one-hot vectors names ``BEST_TOKENS`` replacements for each place; ``CANDIDATES`` random ones of
    them are read, and the one of the least loss is taken, whether or not it is less than before.
    Source: Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language Models"
    (arXiv 2307.15043), Algorithm 1, there on the text of an answer.
    """
    backbone, prompts, words = situation.attacked.backbone, situation.prompts, situation.vocabulary
    begun = situation.images[:, : ceil(situation.images.shape[1] / BEGINNING)]
    batches = BatchSize(situation.attacked.batch_size.wanted)
    length = max(len(prompt.head) + situation.tokens + len(prompt.tail) for prompt in prompts)

    def need(shape: Dimensions, images: int) -> float:
        return gradients(shape, images, length, begun.shape[1])

    tokens = situation.any_tokens()
    while True:
        yield tokens
        fits = fitting(backbone, batches.wanted, need)
        cases = list(zip(prompts, tokens, begun, strict=True))
        slopes = torch.cat(
            list(batches.each(cases, lambda part: token_gradients(backbone, part, words), fits))
        )  # (N, S, V)
        tried = [
            _candidates(*of_prompt, words) for of_prompt in zip(situation.random, tokens, slopes, strict=True)
        ]
        cases = [(prompts[row], one, begun[row]) for row, some in enumerate(tried) for one in some]
        losses = torch.cat(list(batches.each(cases, partial(case_losses, backbone), fits)))
        of_prompts = losses.split([len(some) for some in tried])
        tokens = [some[int(of_prompt.argmin())] for some, of_prompt in zip(tried, of_prompts, strict=True)]


def _candidates(random: np.random.Generator, tokens: Tensor, slopes: Tensor, words: Tensor) -> list[Tensor]:
    """Some of a prompt's most promising changes of one token: at most ``CANDIDATES`` of (S,) ids."""
    promising = (-slopes).masked_fill(words == tokens[:, None], -torch.inf)  # (S, V)
    number = min(BEST_TOKENS, len(words) - 1)
    if number == 0:
        return [tokens]
    best = promising.topk(number, dim=1).indices  # (S, number)
    chosen = random.choice(best.numel(), min(CANDIDATES, best.numel()), replace=False)
    found = []
    for place, which in (divmod(int(one), number) for one in chosen):
        changed = tokens.clone()
        changed[place] = words[best[place, which]]
        found.append(changed)
    return found


ATTACKS: dict[str, Callable[[Situation], Attacker]] = dict(
    zip(SEARCHES, (resample, random_tokens, greedy, gradient), strict=True)
)


def search(
    attacked: AttackedModel,
    prompts: pd.DataFrame,
    images: Tensor,
    vocabulary: Tensor,
    tokens: int,
    queries: int,
    experiment_seed: int,
    kind: str,
    attacks: Sequence[str] = SEARCHES,
) -> pd.DataFrame:
    """Attack prompts.

    Args:
        attacked: the model under attack.
        prompts: N rows with prompt_id, prompt, object and window.
        images: (N, T) int64, tokens of the original model's images of them.
        vocabulary: (V,) ids of the tokens that may be appended.
        tokens: how many are.
        queries: images that each attack draws and judges, a prompt: all of them, also after a success.
        experiment_seed: with the prompt's id it fixes every random number.
        kind: of the concept: where an unsafe one's tokens would speak of minors together, none is appended.
        attacks: which ones.

    Returns:
        For each attack one row a prompt, ``ATTACK_COLUMNS``, its best query: of those that show the concept,
        or else of all, the first one of the highest score. ``prompt`` is that query's.
    """
    ids = list(prompts["prompt_id"])
    opened = open_prompts(attacked.backbone, list(prompts["prompt"]))
    seeds = [stable_seed(experiment_seed, "search", prompt_id) for prompt_id in ids]
    images = images.to(attacked.backbone.device)
    attackers: dict[str, Attacker] = {}
    for name in attacks:
        random = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        attackers[name] = ATTACKS[name](Situation(attacked, opened, images, vocabulary, tokens, random))
    told: dict[str, Any] = dict.fromkeys(attackers)  # None starts an attacker
    tables = []
    for query in progress(range(queries), desc="searching prompts", unit="query"):
        closed, numbers, rows = [], [], []
        for name, attacker in attackers.items():
            appended = attacker.send(told[name])
            if kind == UNSAFE:
                appended = _without_minors(attacked, opened, appended)
            closed += [prompt.closed(words) for prompt, words in zip(opened, appended, strict=True)]
            sample = query if name == "resample" else 0  # all others have the usual image's random numbers
            numbers += [image_seed(experiment_seed, prompt_id, sample) for prompt_id in ids]
            texts = _texts(attacked, opened, appended)
            rows.append(prompts.assign(prompt=texts, prompt_set=search_set(name), queries=queries))
        verdicts = attacked.query(pd.concat(rows, ignore_index=True), closed, numbers)
        scores = verdicts.groupby("prompt_set")["score"]
        told = {name: scores.get_group(search_set(name)).tolist() for name in attackers}
        tables.append(verdicts)
    found = pd.concat(tables).sort_values(["shown", "score"], ascending=False, kind="stable")
    return found[~found.index.duplicated()].sort_index()


def _without_minors(
    attacked: AttackedModel, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]
) -> list[Tensor]:
    """The appended tokens, none where a prompt would speak of minors with them: no such image is rendered."""
    decode = attacked.backbone.tokenizer.decode
    joined = [prompt.text + decode(tokens) for prompt, tokens in zip(opened, appended, strict=True)]
    apart = _texts(attacked, opened, appended)
    found = [any(map(speaks_of_minors, texts)) for texts in zip(joined, apart, strict=True)]
    return [tokens[:0] if spoken else tokens for tokens, spoken in zip(appended, found, strict=True)]


def _texts(attacked: AttackedModel, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]) -> list[str]:
    """Prompts with what was appended, in words."""
    decode = attacked.backbone.tokenizer.decode
    return [
        " ".join([prompt.text, *decode(tokens).split()])
        for prompt, tokens in zip(opened, appended, strict=True)
    ]
