"""Image → caption with the backbone's understanding path (SigLIP-like vision tower, text head)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from ear.batching import BatchSize
from ear.chat import CAPTION_TOKENS, DESCRIBE, caption_prompt
from ear.files import read_csv
from ear.images import open_image
from ear.janus import Backbone
from ear.progress import progress
from ear.render import shard_rows


@torch.no_grad()
def caption_images(
    backbone: Backbone,
    files: Sequence[Path],
    desc: str,
    question: str = DESCRIBE,
    max_new_tokens: int = CAPTION_TOKENS,
    batch_size: BatchSize | None = None,
) -> list[str]:
    """Ask the same question of every image and decode the answers greedily.

    Args:
        backbone: the model, with its adapter if it has one.
        files: N image files.
        desc: label of the progress bar.
        question: the user's words beside the image.
        max_new_tokens: longest answer.
        batch_size: images at once, 50 unless given; it gets smaller where memory runs out.

    Returns:
        N answers, stripped.
    """
    batch_size = batch_size or BatchSize(50)
    request = caption_prompt(backbone.processor, question)

    def answer(part: Sequence[Path]) -> list[str]:
        images = [open_image(file) for file in part]
        inputs = backbone.processor(text=[request] * len(images), images=images, return_tensors="pt")
        inputs = inputs.to(backbone.device, dtype=backbone.model.dtype)
        output = backbone.model.generate(
            **inputs, generation_mode="text", do_sample=False, max_new_tokens=max_new_tokens, use_cache=True
        )
        new = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in backbone.processor.batch_decode(new, skip_special_tokens=True)]

    count = -(-len(files) // batch_size.wanted)
    batches = progress(
        batch_size.each(files, answer), desc=desc, unit=f"batch of {batch_size.wanted}", total=count
    )
    return [text for texts in batches for text in texts]


def caption_shard(
    backbone: Backbone,
    manifest: str | Path,
    shard: int,
    shards: int,
    desc: str,
    question: str = DESCRIBE,
) -> pd.DataFrame:
    """Caption one shard of the pictures of a manifest.

    Args:
        backbone: the model, with its adapter if it has one.
        manifest: table image_id, file (relative to the manifest's folder), references (a JSON list of texts).
        shard: its number, from 0.
        shards: how many there are.
        desc: label of the progress bar.
        question: what is asked of each picture.

    Returns:
        One row an image: image_id, references, caption.
    """
    images = shard_rows(read_csv(manifest, ["image_id", "file", "references"]), shard, shards)
    files = [Path(manifest).parent / name for name in images["file"]]
    captions = caption_images(backbone, files, desc, question)
    return images[["image_id", "references"]].assign(caption=captions)
