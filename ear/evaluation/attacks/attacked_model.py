"""The model under attack: prompts go in, the judge's verdicts come out; and how likely it finds an image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ear.evaluation.attacks import ATTACK_COLUMNS
from ear.images.batching import BatchSize, drawn_at_once
from ear.images.sampling import Guidance, random_numbers, sample
from ear.judges.base import BATCH, Judge
from ear.models.backbone import Backbone, left_padded


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
        self._negative = backbone.encode([guidance.negative], "chat") if guidance.negative else None

    def query(self, rows: pd.DataFrame, prompts: Sequence[Tensor], seeds: Sequence[int]) -> pd.DataFrame:
        """Render an image of each prompt with the random numbers of its seed, and judge it.

        Args:
            rows: N rows with prompt_id, prompt_set, prompt, object, window and queries.
            prompts: N of (L_i,) ids.
            seeds: N.

        Returns:
            N rows, ``ATTACK_COLUMNS``. There is no CLIP score: a prompt is not what its image should show.
        """
        jobs = list(zip(prompts, seeds, strict=True))
        length = max(len(ids) for ids in [*prompts, *([] if self._negative is None else self._negative.ids)])
        fits = drawn_at_once(self.backbone, self.batch_size.wanted, self.guidance.rows, length)
        tokens = torch.cat(list(self.batch_size.each(jobs, self._sampled, fits)))
        verdicts = self.verdicts(tokens)
        table = rows.assign(clip_score=np.nan, protocol=self.judge.protocol)
        return pd.concat([table, verdicts.set_index(table.index)], axis=1)[list(ATTACK_COLUMNS)]

    def verdicts(self, tokens: Tensor) -> pd.DataFrame:
        """What the judge says of N images, by their tokens (N, T)."""
        images = [Image.fromarray(pixels) for pixels in self.backbone.pixels(tokens)]
        return pd.concat(
            [self._judged(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        )

    def _sampled(self, jobs: Sequence[tuple[Tensor, int]]) -> Tensor:
        prompts, seeds = zip(*jobs, strict=True)
        tokens = left_padded(prompts, self.backbone.pad_id)
        numbers = random_numbers(seeds, self.backbone.num_image_tokens)
        return sample(self.backbone, tokens, numbers, self.guidance, self.temperature, self._negative)

    def _judged(self, images: Sequence[Image.Image]) -> pd.DataFrame:
        found = self.judge.judge(images)
        table = {
            "shown": found.shown,
            "score": found.score,
            "rank": found.rank,
            "top1_object": found.objects,
        }
        return pd.DataFrame(table).astype({"score": np.float32, "rank": "Int64"})


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
    image = backbone.embed_image(images[:, :-1])
    whole = functional.pad(mask, (0, image.shape[1]), value=1)  # (B, L + columns)
    hidden = backbone.language_model(
        inputs_embeds=torch.cat([prompts, image], dim=1),
        attention_mask=whole,
        position_ids=(whole.cumsum(dim=1) - 1).clamp_min(0),
        use_cache=False,
    ).last_hidden_state[:, length - 1 :][:, backbone.layout.ends(0, steps)]
    logits = backbone.image_logits(hidden).float()  # (B, T, V)
    losses = functional.cross_entropy(logits.flatten(0, 1), images.flatten(), reduction="none")
    return losses.view(rows, steps).mean(dim=1)
