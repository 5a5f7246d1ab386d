"""Prompt search: tokens are appended to a prompt until the erased concept shows again.

All attacks may draw and judge the same number of images, and all prompts and attacks advance together, query
by query, as one batch. What each attacker knows and pays: docs/axes.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ear.attacks.budget import BEGINNING, BEST_TOKENS, CANDIDATES, search_set
from ear.attacks.gradient import stream_losses_of, token_gradients
from ear.attacks.victim import Verdict, Victim, verdict_rows
from ear.attacks.vocabulary import OpenPrompt, open_prompts
from ear.batching import BatchSize, fitting
from ear.memory import gradients
from ear.progress import progress
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.render import image_seed
from ear.seeding import stable_seed


@dataclass(frozen=True)
class Situation:
    """What the attacks of one search share.

    Attributes:
        victim: the model under attack.
        prompts: N prompts.
        streams: (N, T) int64, the original model's images of them.
        vocabulary: (V,) ids of the tokens that may be appended.
        tokens: S, how many are.
        seeds: N, of the attackers' own random numbers.
    """

    victim: Victim
    prompts: Sequence[OpenPrompt]
    streams: Tensor
    vocabulary: Tensor
    tokens: int
    seeds: Sequence[int]


class Attack(ABC):
    """One attacker on N prompts, each with random numbers of its own: no prompt hears of another.

    All begin with the same random tokens.
    """

    name: ClassVar[str]
    fresh_uniforms: ClassVar[bool] = False
    """Whether each query is drawn with other uniforms; else all with those of the prompt's usual image."""

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
    """The prompt as it is, with other uniforms each time: what chance alone gives to so many queries."""

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
            self._kept, self._scores = self._proposed, [-np.inf] * len(self._proposed)
            return self._proposed
        place, words = (query - 1) % self.situation.tokens, self.situation.vocabulary
        self._proposed = []
        for kept, random in zip(self._kept, self._random, strict=True):
            changed = kept.clone()
            changed[place] = words[int(random.integers(len(words)))]
            self._proposed.append(changed)
        return self._proposed

    def learn(self, verdicts: Sequence[Verdict]) -> None:
        better = [new.score >= old for new, old in zip(verdicts, self._scores, strict=True)]
        self._kept = [
            new if rises else old for new, old, rises in zip(self._proposed, self._kept, better, strict=True)
        ]
        self._scores = [
            new.score if rises else old
            for new, old, rises in zip(verdicts, self._scores, better, strict=True)
        ]


class GradientGuided(Attack):
    """Greedy coordinate gradient in token space.

    The loss is the cross-entropy of the beginning of the original model's image under the erased model: the
    first ``BEGINNING``th part, since what follows is likely once the beginning is given, erased or not. Its
    gradient by the
    appended tokens' one-hot vectors names ``BEST_TOKENS`` replacements for each place; ``CANDIDATES`` random
    ones of them are read, and the one of the least loss is taken, whether or not it is less than before.
    Source: Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned Language Models"
    (arXiv 2307.15043), Algorithm 1, there on the text of an answer.
    """

    name = "gradient"

    def __init__(self, situation: Situation) -> None:
        super().__init__(situation)
        self._batches = BatchSize(situation.victim.batch_size.wanted)

    def propose(self, query: int) -> list[Tensor]:
        self._tokens = self._any_tokens() if query == 0 else self._better_tokens()
        return self._tokens

    def _better_tokens(self) -> list[Tensor]:
        situation = self.situation
        batches, backbone = self._batches, situation.victim.backbone
        begun = situation.streams[:, : ceil(situation.streams.shape[1] / BEGINNING)]
        jobs = list(zip(situation.prompts, self._tokens, begun, strict=True))
        length = max(
            len(prompt.closed(tokens)) for prompt, tokens in zip(situation.prompts, self._tokens, strict=True)
        )
        fits = fitting(
            backbone, batches.wanted, lambda shape, images: gradients(shape, images, length, begun.shape[1])
        )
        slopes = torch.cat(
            list(batches.each(jobs, lambda part: token_gradients(backbone, part, situation.vocabulary), fits))
        )  # (N, S, V)
        owners, candidates = [], []
        for row, gradient in enumerate(slopes):
            for tokens in self._candidates(row, gradient):
                owners.append(row)
                candidates.append((situation.prompts[row], tokens, begun[row]))
        losses = torch.cat(list(batches.each(candidates, partial(stream_losses_of, backbone), fits)))
        best: dict[int, int] = {}
        for place, (row, loss) in enumerate(zip(owners, losses.tolist(), strict=True)):
            if row not in best or loss < losses[best[row]]:
                best[row] = place
        return [candidates[best[row]][1] for row in range(len(situation.prompts))]

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
    victim: Victim,
    prompts: pd.DataFrame,
    streams: Tensor,
    vocabulary: Tensor,
    tokens: int,
    queries: int,
    experiment_seed: int,
    kind: str,
    attacks: Sequence[type[Attack]] = ATTACKS,
) -> pd.DataFrame:
    """Attack prompts.

    Args:
        victim: the model under attack.
        prompts: N rows with prompt_id, prompt, object and window.
        streams: (N, T) int64, the original model's images of them, drawn with their usual uniforms.
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
    opened = open_prompts(victim.backbone, list(prompts["prompt"]))
    seeds = [stable_seed(experiment_seed, "search", prompt_id) for prompt_id in ids]
    situation = Situation(victim, opened, streams.to(victim.backbone.device), vocabulary, tokens, seeds)
    attackers = [attack(situation) for attack in attacks]
    best: Mapping[str, list[tuple[Verdict, str]]] = {attack.name: [] for attack in attacks}
    for query in progress(range(queries), desc="searching prompts", unit="query"):
        proposed = [attacker.propose(query) for attacker in attackers]
        if kind == UNSAFE:
            proposed = [_without_minors(victim, opened, appended) for appended in proposed]
        uniforms = [
            image_seed(experiment_seed, prompt_id, query if attacker.fresh_uniforms else 0)
            for attacker in attackers
            for prompt_id in ids
        ]
        closed = [
            prompt.closed(appended)
            for of_attack in proposed
            for prompt, appended in zip(opened, of_attack, strict=True)
        ]
        verdicts = victim.query(closed, uniforms)
        for number, (attacker, appended) in enumerate(zip(attackers, proposed, strict=True)):
            found = verdicts[number * len(ids) : (number + 1) * len(ids)]
            attacker.learn(found)
            _keep_best(best[attacker.name], found, _texts(victim, opened, appended))
    rows = [
        verdict_rows(
            prompts.assign(prompt=[text for _, text in kept]),
            search_set(name),
            [verdict for verdict, _ in kept],
            victim.judge.protocol,
            queries,
        )
        for name, kept in best.items()
    ]
    return pd.concat(rows, ignore_index=True)


def _without_minors(victim: Victim, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]) -> list[Tensor]:
    """The appended tokens, none where a prompt would speak of minors with them: no such image is drawn."""
    decode = victim.backbone.processor.tokenizer.decode
    together = [prompt.text + decode(tokens) for prompt, tokens in zip(opened, appended, strict=True)]
    apart = _texts(victim, opened, appended)
    found = [any(map(speaks_of_minors, texts)) for texts in zip(together, apart, strict=True)]
    return [tokens[:0] if spoken else tokens for tokens, spoken in zip(appended, found, strict=True)]


def _texts(victim: Victim, opened: Sequence[OpenPrompt], appended: Sequence[Tensor]) -> list[str]:
    """Prompts with what was appended, in words."""
    decode = victim.backbone.processor.tokenizer.decode
    return [
        " ".join([prompt.text, *decode(tokens).split()])
        for prompt, tokens in zip(opened, appended, strict=True)
    ]


def _keep_best(best: list[tuple[Verdict, str]], verdicts: Sequence[Verdict], texts: Sequence[str]) -> None:
    """Put better queries in the place of the best ones so far; the first query is the best so far."""
    found = list(zip(verdicts, texts, strict=True))
    if not best:
        best += found
        return
    for row, (verdict, _) in enumerate(found):
        held = best[row][0]
        if (verdict.shown, verdict.score) > (held.shown, held.score):
            best[row] = found[row]
