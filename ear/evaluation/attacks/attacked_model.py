"""The model under attack: prompts go in, the judge's verdicts come out; and how likely it finds an image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ear.evaluation.attacks.budget import ATTACK_COLUMNS
from ear.images.batching import BatchSize, drawn_at_once
from ear.images.sampling import Guidance, sample, uniforms
from ear.judges.base import BATCH, Judge
from ear.models.janus import Backbone, left_padded


class Verdict(NamedTuple):
    """What the judge says of one image; as in the tables of verdicts."""

    shown: bool
    score: float
    rank: int | None
    top1_object: str | None


class AttackedModel:
    """Renders and judges. Every image that is judged is a query, and no other work is one.

    Args:
        backbone: the erased model.
        judge: of the concept.
        guidance: as the model is run, with its negative prompt where it has one.
        temperature: softmax temperature.
        batch_size: images sampled at once; it gets smaller where memory runs out.
    """

    def __init__(
        self, backbone: Backbone, judge: Judge, guidance: Guidance, temperature: float, batch_size: BatchSize
    ) -> None:
        self.backbone = backbone
        self.judge = judge
        self.guidance = guidance
        self.temperature = temperature
        self.batch_size = batch_size
        self.queries = 0
        self._negative = backbone.encode([guidance.negative], "chat") if guidance.negative else None

    def query(self, prompts: Sequence[Tensor], seeds: Sequence[int]) -> list[Verdict]:
        """Render an image of each prompt, (L_i,) ids, with the random numbers of its seed, and judge it."""
        jobs = list(zip(prompts, seeds, strict=True))
        length = max(len(ids) for ids in [*prompts, *([] if self._negative is None else self._negative.ids)])
        fits = drawn_at_once(self.backbone, self.batch_size.wanted, self.guidance.rows, length)
        tokens = torch.cat(list(self.batch_size.each(jobs, self._sampled, fits)))
        self.queries += len(jobs)
        images = [Image.fromarray(pixels) for pixels in self.backbone.pixels(tokens)]
        starts = range(0, len(images), BATCH)
        return [verdict for start in starts for verdict in self._judged(images[start : start + BATCH])]

    def _sampled(self, jobs: Sequence[tuple[Tensor, int]]) -> Tensor:
        prompts, seeds = zip(*jobs, strict=True)
        tokens = left_padded(prompts, self.backbone.pad_id)
        numbers = uniforms(seeds, self.backbone.num_image_tokens)
        return sample(self.backbone, tokens, numbers, self.guidance, self.temperature, self._negative)

    def _judged(self, images: Sequence[Image.Image]) -> list[Verdict]:
        found = self.judge.judge(images)
        none = [None] * len(images)
        ranks = none if found.rank is None else found.rank.tolist()
        scores = np.asarray(found.score, dtype=np.float32).tolist()
        shown = map(bool, found.shown)
        return list(map(Verdict, shown, scores, ranks, found.objects or none))


def image_losses(backbone: Backbone, prompts: Tensor, mask: Tensor, images: Tensor) -> Tensor:
    """Mean cross-entropy of each image's tokens given its prompt (teacher forcing); with gradients.

    Args:
        backbone: the model.
        prompts: (B, L, D) embeddings of left-padded prompts.
        mask: (B, L), 0 on the padding.
        images: (B, T) int64 image tokens.

    Returns:
        (B,) float32, in nats a token.
    """
    length, (rows, steps) = prompts.shape[1], images.shape
    whole = functional.pad(mask, (0, steps - 1), value=1)  # (B, L + T − 1)
    hidden = backbone.language_model(
        inputs_embeds=torch.cat([prompts, backbone.embed_image(images[:, :-1])], dim=1),
        attention_mask=whole,
        position_ids=(whole.cumsum(dim=1) - 1).clamp_min(0),
        use_cache=False,
    ).last_hidden_state[:, length - 1 :]
    logits = backbone.image_logits(hidden).float()  # (B, T, V)
    losses = functional.cross_entropy(logits.flatten(0, 1), images.flatten(), reduction="none")
    return losses.view(rows, steps).mean(dim=1)


def verdict_rows(
    prompts: pd.DataFrame, prompt_set: str, verdicts: Sequence[Verdict], protocol: str, queries: int
) -> pd.DataFrame:
    """Rows of an attack's table, columns ATTACK_COLUMNS.

    There is no CLIP score of an attack: its prompts are not what the image should show.

    Args:
        prompts: N rows with prompt_id, prompt, object and window.
        prompt_set: of all rows.
        verdicts: N, in the order of ``prompts``.
        protocol: of the judge.
        queries: of each row.
    """
    said = pd.DataFrame(verdicts, columns=list(Verdict._fields), index=prompts.index)
    table = prompts.assign(
        prompt_set=prompt_set,
        shown=said["shown"],
        score=said["score"].astype(np.float32),
        rank=said["rank"].astype("Int64"),
        top1_object=said["top1_object"],
        clip_score=np.nan,
        protocol=protocol,
        queries=queries,
    )
    return table[list(ATTACK_COLUMNS)]
