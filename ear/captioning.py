"""Image → caption with the backbone's understanding path (SigLIP-like vision tower, text head)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ear.batching import BatchSize, fitting
from ear.chat import CAPTION_TOKENS, DESCRIBE, caption_prompt
from ear.files import read_csv
from ear.finite import FiniteWatch
from ear.images import open_image
from ear.janus import Backbone
from ear.memory import answering
from ear.progress import progress
from ear.render import shard_rows

ANSWERED = 50
"""Pictures that are described, or asked about, at once."""


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
        batch_size: images at once; unless given ``ANSWERED``, or as many as a GPU has memory for. It gets
            smaller where memory runs out.

    Returns:
        N answers, stripped.

    Raises:
        InputError: logits that are not finite.
    """
    request = caption_prompt(backbone.processor, question)
    batch_size = batch_size or answered_at_once(backbone, request, max_new_tokens)

    def answer(part: Sequence[Path]) -> list[str]:
        inputs = question_inputs(backbone, request, part)
        with watched_words(backbone) as watch:
            output = backbone.model.generate(
                **inputs,
                generation_mode="text",
                do_sample=False,
                max_new_tokens=max_new_tokens,
                use_cache=True,
            )
        watch.require(lambda row: f"caption of {part[row]}", "word")
        new = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in backbone.processor.batch_decode(new, skip_special_tokens=True)]

    batches = progress(
        batch_size.each(files, answer),
        desc=desc,
        unit=f"batch of {batch_size.wanted}",
        total=-(-len(files) // batch_size.wanted),
    )
    return [text for texts in batches for text in texts]


def question_inputs(backbone: Backbone, request: str, files: Sequence[Path]) -> Any:
    """The same question about each of some pictures, as the model takes it."""
    images = [open_image(file) for file in files]
    inputs = backbone.processor(text=[request] * len(images), images=images, return_tensors="pt")
    return inputs.to(backbone.device, dtype=backbone.model.dtype)


def answered_at_once(backbone: Backbone, request: str, answer: int) -> BatchSize:
    """How many pictures a question is asked of at once.

    Args:
        backbone: the model, with its adapter if it has one.
        request: the question in the chat template.
        answer: longest answer in tokens; 0 where one pass answers.
    """
    tokenizer: Any = backbone.processor.tokenizer
    length = len(tokenizer(request).input_ids) + backbone.num_image_tokens
    return BatchSize(
        fitting(backbone, ANSWERED, lambda shape, images: answering(shape, images, length, answer))
    )


@contextmanager
def watched_words(backbone: Backbone) -> Iterator[FiniteWatch]:
    """Watch the text head while words are generated: each of its calls is one word of the batch."""
    watch, words = FiniteWatch(), count()
    head = backbone.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _, __, logits: watch.see(next(words), logits[:, -1]))
    try:
        yield watch
    finally:
        hook.remove()


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
