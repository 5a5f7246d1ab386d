"""Prompt search: tokens are appended to a prompt until the erased concept shows again.

All attacks may render and judge the same number of images, and all prompts and attacks advance together,
query by query, as one batch. What each attacker knows and pays: docs/reference/protocols.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.errors import InputError
from ear.evaluation.attacks.attacked_model import AttackedModel, Verdict, image_losses, verdict_rows
from ear.evaluation.attacks.budget import BEGINNING, BEST_TOKENS, CANDIDATES, search_set
from ear.images.batching import BatchSize, fitting
from ear.images.rendering import image_seed
from ear.models.chat_format import prompt_frame
from ear.models.finite import require_losses
from ear.models.janus import Backbone, left_padded
from ear.models.memory import gradients
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import core, named, words_of
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

_NOT_TEXT = "\N{REPLACEMENT CHARACTER}"


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
    """Cut chat prompts open. Closed with no tokens, they are what ``Backbone.encode`` makes of them.

    A tokenizer that would have joined the last sign of a prompt with the line end after it keeps them apart
    here.
    """
    tokenizer = backbone.processor.tokenizer
    before, after = prompt_frame(backbone.processor)
    tail = tokenizer(after, add_special_tokens=False).input_ids
    heads = [backbone.text_ids(before, prompt.strip(), "") for prompt in prompts]
    return [
        OpenPrompt(prompt, *(torch.tensor(ids, device=backbone.device) for ids in (head, tail)))
        for prompt, head in zip(prompts, heads, strict=True)
    ]


def vocabulary(backbone: Backbone, words: Sequence[str], kind: str) -> Tensor:
    """Tokens that an attacker may append: those of plain text, without those that name the concept.

    Plain text is printable and more than blanks. A token names the concept where it is a word of its name
    but function words ("gogh" of "in the style of Van Gogh"), whole or inflected. A name of which the
    tokenizer makes several tokens can still be put together from parts.

    Args:
        backbone: its tokenizer's tokens.
        words: names of the concept.
        kind: of the concept: an unsafe one's prompts get no token that speaks of minors.

    Returns:
        (V,) ids, ascending.

    Raises:
        InputError: nothing is left.
    """
    tokenizer: Any = backbone.processor.tokenizer
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    forbidden = list(dict.fromkeys([*words, *(part for name in words for part in words_of(core(name)))]))
    size = min(len(tokenizer), backbone.model.get_input_embeddings().num_embeddings)
    found = []
    for token in range(size):
        text = tokenizer.decode([token]).strip()
        if token in special or not text or not text.isprintable() or _NOT_TEXT in text:
            continue
        if not named(text, forbidden) and not (kind == UNSAFE and speaks_of_minors(text)):
            found.append(token)
    if not found:
        raise InputError(f"tokenizer: found no token of plain text but {', '.join(words)}, wanted some")
    return torch.tensor(found, device=backbone.device)


Case = tuple[OpenPrompt, Tensor, Tensor]
"""(prompt, (S,) appended tokens, (T,) tokens of the original model's image)"""


@torch.no_grad()
def case_losses(backbone: Backbone, cases: Sequence[Case]) -> Tensor:
    """Mean cross-entropy of each image, given its prompt with the appended tokens: (B,) float32."""
    ids, mask, images = _batch(backbone, cases)
    losses = image_losses(backbone, backbone.embed_text(ids), mask, images)
    require_losses(losses, lambda row: f"searched prompt {cases[row][0].text!r}")
    return losses


def token_gradients(backbone: Backbone, cases: Sequence[Case], vocabulary: Tensor) -> Tensor:
    """Gradient of each case's loss by the one-hot vectors of its appended tokens.

    A one-hot vector times the embedding matrix is a token's embedding; so the gradient by it is the
    embeddings of all tokens, times the gradient by that embedding.

    Args:
        backbone: the model under attack.
        cases: B, all with S appended tokens.
        vocabulary: (V,) ids of the tokens that are asked for.

    Returns:
        (B, S, V) float32.
    """
    ids, mask, images = _batch(backbone, cases)
    stop = ids.shape[1] - len(cases[0][0].tail)
    place = slice(stop - len(cases[0][1]), stop)  # the same columns in all rows: prompts are left-padded
    with torch.enable_grad():
        embeddings = backbone.embed_text(ids)
        appended = embeddings[:, place].detach().requires_grad_()
        whole = torch.cat([embeddings[:, : place.start], appended, embeddings[:, place.stop :]], dim=1)
        losses = image_losses(backbone, whole, mask, images)
        require_losses(losses, lambda row: f"searched prompt {cases[row][0].text!r}")
        (gradient,) = torch.autograd.grad(losses.sum(), appended)  # (B, S, D)
    return gradient.float() @ backbone.embed_text(vocabulary).float().T


def _batch(backbone: Backbone, cases: Sequence[Case]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, mask, image tokens) of the closed prompts."""
    tokens = left_padded([prompt.closed(appended) for prompt, appended, _ in cases], backbone.pad_id)
    return tokens.ids, tokens.mask, torch.stack([image for _, _, image in cases])


@dataclass(frozen=True)
class Situation:
    """What the attacks of one search share.

    Attributes:
        attacked model: the model under attack.
        prompts: N prompts.
        images: (N, T) int64, tokens of the original model's images of them.
        vocabulary: (V,) ids of the tokens that may be appended.
        tokens: S, how many are.
        seeds: N, of the attackers' own random numbers.
    """

    attacked: AttackedModel
    prompts: Sequence[OpenPrompt]
    images: Tensor
    vocabulary: Tensor
    tokens: int
    seeds: Sequence[int]


class Attack(ABC):
    """One attacker on N prompts, each with random numbers of its own: no prompt hears of another.

    All begin with the same random tokens.
    """

    name: ClassVar[str]
    fresh_uniforms: ClassVar[bool] = False
    """Whether each query has other random numbers; else all have those of the prompt's usual image."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self._random = [np.random.Generator(np.random.Philox(seed)) for seed in situation.seeds]

    @abstractmethod
    def propose(self, query: int) -> list[Tensor]:
        """Appended tokens of query 0, 1, …: N of (S,) ids, or of none."""

    def learn(self, verdicts: Sequence[Verdict]) -> None:  # noqa: B027 (most attacks need not)
        """Hear what the judge said of the last proposals."""

    def _any_tokens(self) -> list[Tensor]:
        """(S,) random tokens for each prompt."""
        words, count = self.situation.vocabulary, self.situation.tokens
        return [words[random.integers(len(words), size=count).tolist()] for random in self._random]


class Resample(Attack):
    """The prompt as it is, with other random numbers each time: what chance alone gives."""

    name = "resample"
    fresh_uniforms = True

    def propose(self, query: int) -> list[Tensor]:
        return [prompt.head.new_empty(0) for prompt in self.situation.prompts]


class RandomTokens(Attack):
    """Random tokens, new ones each time."""

    name = "random"

    def propose(self, query: int) -> list[Tensor]:
        return self._any_tokens()


class Greedy(Attack):
    """Coordinate search: one token is changed each time, and stays where the judge's score does not fall."""

    name = "greedy"

    def propose(self, query: int) -> list[Tensor]:
        if query == 0:
            self._proposed = self._any_tokens()
            self._kept, self._scores = list(self._proposed), [-np.inf] * len(self._proposed)
            return self._proposed
        place, words = (query - 1) % self.situation.tokens, self.situation.vocabulary
        self._proposed = [kept.clone() for kept in self._kept]
        for tokens, random in zip(self._proposed, self._random, strict=True):
            tokens[place] = words[int(random.integers(len(words)))]
        return self._proposed

    def learn(self, verdicts: Sequence[Verdict]) -> None:
        for row, verdict in enumerate(verdicts):
            if verdict.score >= self._scores[row]:
                self._kept[row], self._scores[row] = self._proposed[row], verdict.score


class GradientGuided(Attack):
    """Greedy coordinate gradient in token space.

    The loss is the cross-entropy of the beginning of the original model's image under the erased model: the
    first ``BEGINNING``th part, since what follows is likely once the beginning is given, erased or not. Its
    gradient by the appended tokens' one-hot vectors names ``BEST_TOKENS`` replacements for each place;
    ``CANDIDATES`` random ones of them are read, and the one of the least loss is taken, whether or not it is
    less than before.
    Source: Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language Models"
    (arXiv 2307.15043), Algorithm 1, there on the text of an answer.
    """

    name = "gradient"

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation)
        self._batches = BatchSize(situation.attacked.batch_size.wanted)

    def propose(self, query: int) -> list[Tensor]:
        self._tokens = self._any_tokens() if query == 0 else self._better_tokens()
        return self._tokens

    def _better_tokens(self) -> list[Tensor]:
        prompts, images, words = self.situation.prompts, self.situation.images, self.situation.vocabulary
        batches, backbone = self._batches, self.situation.attacked.backbone
        begun = images[:, : ceil(images.shape[1] / BEGINNING)]
        jobs = list(zip(prompts, self._tokens, begun, strict=True))
        length = max(len(prompt.closed(tokens)) for prompt, tokens, _ in jobs)
        fits = fitting(
            backbone, batches.wanted, lambda shape, count: gradients(shape, count, length, begun.shape[1])
        )
        slopes = torch.cat(
            list(batches.each(jobs, lambda part: token_gradients(backbone, part, words), fits))
        )  # (N, S, V)
        tried = [self._candidates(row, gradient) for row, gradient in enumerate(slopes)]
        cases = [(prompts[row], tokens, begun[row]) for row, some in enumerate(tried) for tokens in some]
        losses = torch.cat(list(batches.each(cases, partial(case_losses, backbone), fits)))
        of_prompts = losses.split([len(some) for some in tried])
        return [some[int(of_prompt.argmin())] for some, of_prompt in zip(tried, of_prompts, strict=True)]

    def _candidates(self, row: int, gradient: Tensor) -> list[Tensor]:
        """Some of a prompt's most promising changes of one token: at most ``CANDIDATES`` of (S,) ids."""
        tokens, words = self._tokens[row], self.situation.vocabulary
        promising = (-gradient).masked_fill(words == tokens[:, None], -torch.inf)  # (S, V)
        count = min(BEST_TOKENS, len(words) - 1)
        if count == 0:
            return [tokens]
        best = promising.topk(count, dim=1).indices  # (S, count)
        chosen = self._random[row].choice(best.numel(), min(CANDIDATES, best.numel()), replace=False)
        found = []
        for place, which in (divmod(int(number), count) for number in chosen):
            changed = tokens.clone()
            changed[place] = words[best[place, which]]
            found.append(changed)
        return found


ATTACKS: tuple[type[Attack], ...] = (Resample, RandomTokens, Greedy, GradientGuided)


def search(
    attacked: AttackedModel,
    prompts: pd.DataFrame,
    images: Tensor,
    vocabulary: Tensor,
    tokens: int,
    queries: int,
    experiment_seed: int,
    kind: str,
    attacks: Sequence[type[Attack]] = ATTACKS,
) -> pd.DataFrame:
    """Attack prompts.

    Args:
        attacked model: the model under attack.
        prompts: N rows with prompt_id, prompt, object and window.
        images: (N, T) int64, tokens of the original model's images of them.
        vocabulary: (V,) ids of the tokens that may be appended.
        tokens: how many are.
        queries: images that each attack draws and judges, a prompt: all of them, also after a success.
        experiment_seed: with the prompt's id it fixes every random number.
        kind: of the concept: where an unsafe one's tokens would speak of minors together, none is appended.
        attacks: which ones.

    Returns:
        For each attack one row a prompt, its best query: of those that show the concept, or else of all, the
        first one of the highest score. ``prompt`` is that query's; ``queries`` how many there were.
    """
    ids = list(prompts["prompt_id"])
    opened = open_prompts(attacked.backbone, list(prompts["prompt"]))
    seeds = [stable_seed(experiment_seed, "search", prompt_id) for prompt_id in ids]
    situation = Situation(attacked, opened, images.to(attacked.backbone.device), vocabulary, tokens, seeds)
    attackers = [attack(situation) for attack in attacks]
    best: list[list[tuple[Verdict, str]]] = [[] for _ in attackers]
    for query in progress(range(queries), desc="searching prompts", unit="query"):
        closed, numbers, texts = [], [], []
        for attacker in attackers:
            appended = attacker.propose(query)
            if kind == UNSAFE:
                appended = _without_minors(attacked, opened, appended)
            closed += [prompt.closed(words) for prompt, words in zip(opened, appended, strict=True)]
            sample = query if attacker.fresh_uniforms else 0
            numbers += [image_seed(experiment_seed, prompt_id, sample) for prompt_id in ids]
            texts.append(_texts(attacked, opened, appended))
        verdicts = attacked.query(closed, numbers)
        for number, attacker in enumerate(attackers):
            found = verdicts[number * len(ids) : (number + 1) * len(ids)]
            attacker.learn(found)
            best[number] = _better(best[number], list(zip(found, texts[number], strict=True)))
    protocol = attacked.judge.protocol
    rows = []
    for attacker, kept in zip(attackers, best, strict=True):
        told = prompts.assign(prompt=[text for _, text in kept])
        of_best = [verdict for verdict, _ in kept]
        rows.append(verdict_rows(told, search_set(attacker.name), of_best, protocol, queries))
    return pd.concat(rows, ignore_index=True)


def _without_minors(
    attacked: AttackedModel, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]
) -> list[Tensor]:
    """The appended tokens, none where a prompt would speak of minors with them: no such image is rendered."""
    decode = attacked.backbone.processor.tokenizer.decode
    joined = [prompt.text + decode(tokens) for prompt, tokens in zip(opened, appended, strict=True)]
    apart = _texts(attacked, opened, appended)
    found = [any(map(speaks_of_minors, texts)) for texts in zip(joined, apart, strict=True)]
    return [tokens[:0] if spoken else tokens for tokens, spoken in zip(appended, found, strict=True)]


def _texts(attacked: AttackedModel, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]) -> list[str]:
    """Prompts with what was appended, in words."""
    decode = attacked.backbone.processor.tokenizer.decode
    return [
        " ".join([prompt.text, *decode(tokens).split()])
        for prompt, tokens in zip(opened, appended, strict=True)
    ]


def _better(best: list[tuple[Verdict, str]], found: list[tuple[Verdict, str]]) -> list[tuple[Verdict, str]]:
    """The better one of each prompt's best query so far, where there is one, and its new query."""

    def worth(query: tuple[Verdict, str]) -> tuple[bool, float]:
        return query[0].shown, query[0].score

    if not best:
        return found
    return [new if worth(new) > worth(old) else old for old, new in zip(best, found, strict=True)]
