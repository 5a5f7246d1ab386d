"""What the backbone says of a picture: captions, and answers to yes or no questions."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ear.errors import InputError
from ear.images.batching import BatchSize, fitting
from ear.images.reading import open_image, read_references
from ear.images.rendering import shard_rows
from ear.models.backbone import Backbone
from ear.models.chat_format import CAPTION_TOKENS, DESCRIBE, NO, YES, question
from ear.models.finite import FiniteWatch
from ear.models.memory import answering
from ear.prompts.naming import named
from ear.workflow.files import read_csv
from ear.workflow.progress import progress
from ear.workflow.seeding import stable_seed

ANSWERED = 50
"""Pictures that are described, or asked about, at once."""
FRAME = 32
"""Tokens of a chat template around a question, about, when memory is estimated."""


@torch.no_grad()
def caption_images(
    backbone: Backbone,
    files: Sequence[Path],
    desc: str,
    question: str = DESCRIBE,
    max_new_tokens: int = CAPTION_TOKENS,
) -> list[str]:
    """Ask the same question of N images and decode the answers greedily: N texts, stripped.

    Raises:
        InputError: logits that are not finite.
    """
    batch_size = _answered_at_once(backbone, question, max_new_tokens)

    def answer(part: Sequence[Path]) -> list[str]:
        inputs, watch, words = _question_inputs(backbone, question, part), FiniteWatch(), count()
        hook = backbone.model.get_output_embeddings().register_forward_hook(
            lambda _, __, logits: watch.see(next(words), logits[:, -1])  # each call is one word of the batch
        )
        try:
            output = backbone.model.generate(
                **inputs,
                **backbone.text_generation,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                use_cache=True,
            )
        finally:
            hook.remove()
        watch.require(lambda row: f"caption of {part[row]}", "word")
        new = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in backbone.tokenizer.batch_decode(new, skip_special_tokens=True)]

    batches = progress(
        batch_size.each(files, answer),
        desc=desc,
        unit=f"batch of {batch_size.wanted}",
        total=-(-len(files) // batch_size.wanted),
    )
    return [text for texts in batches for text in texts]


def _question_inputs(backbone: Backbone, asked: str, files: Sequence[Path]) -> Any:
    """The same question about each of some pictures, as the model takes it."""
    return backbone.question_inputs(asked, [open_image(file) for file in files])


def _answered_at_once(backbone: Backbone, asked: str, answer: int) -> BatchSize:
    """Pictures of which a question is asked at once; an answer of 0 tokens is read off one pass."""
    length = len(backbone.tokenizer(asked).input_ids) + FRAME + backbone.layout.columns[-1]
    return BatchSize(
        fitting(backbone, ANSWERED, lambda shape, images: answering(shape, images, length, answer))
    )


def caption_shard(
    backbone: Backbone,
    manifest: str | Path,
    shard: int,
    shards: int,
    desc: str,
    question: str = DESCRIBE,
) -> pd.DataFrame:
    """Caption one shard, from 0, of the pictures of a manifest.

    Args:
        backbone: the model, with its edited weights if it has one.
        manifest: table image_id, file (relative to the manifest's folder), references (a JSON list of texts).
        shard: its number, of ``shards``.
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


CONCEPT, OTHERS = "concept", "others"
QUESTION_COLUMNS = ["image_id", "about", "words", "wanted"]
ANSWER_COLUMNS = [*QUESTION_COLUMNS, "answered", "score"]
HALF = 0.5
"""A score above it is a yes."""


def questions_about(pictures: pd.DataFrame, names: Sequence[str], others: Sequence[str]) -> pd.DataFrame:
    """What is asked of which pictures, about half of it to be answered with yes.

    All pictures that name the concept and as many of those that do not are asked whether the concept is in
    them and, where other things are known, whether one of those is: by turns one that is named and one that
    is not.

    Args:
        pictures: columns image_id, file, references (a JSON list of texts).
        names: of the concept; the first is the one that is asked for.
        others: names of further things.

    Returns:
        Columns QUESTION_COLUMNS and file, in the order of ``pictures``; the concept first of each picture.
    """
    texts = [
        " ".join(read_references(str(image_id), text))
        for image_id, text in zip(pictures["image_id"], pictures["references"], strict=True)
    ]
    there = np.array([bool(named(text, names)) for text in texts], dtype=bool)
    count = min(there.sum(), (~there).sum())
    chosen = sorted([*np.flatnonzero(there)[:count], *np.flatnonzero(~there)[:count]])
    rows: list[tuple[str, str, str, str, str]] = []
    for turn, place in enumerate(chosen):
        image_id, file = pictures[["image_id", "file"]].iloc[place].astype(str)
        rows.append((image_id, CONCEPT, names[0], YES if there[place] else NO, file))
        shown = named(texts[place], others)
        absent = [words for words in others if words not in shown]
        wanted = YES if turn % 2 == 0 else NO
        if things := shown if wanted == YES else absent:
            words = things[stable_seed(image_id, OTHERS) % len(things)]
            rows.append((image_id, OTHERS, words, wanted, file))
    return pd.DataFrame(rows, columns=[*QUESTION_COLUMNS, "file"])


@torch.no_grad()
def yes_scores(backbone: Backbone, files: Sequence[Path], words: str) -> np.ndarray:
    """How sure the model is that a thing, of these words, is in N pictures.

    Returns:
        (N,) float64 in [0, 1]: P(yes) / (P(yes) + P(no)) of the next token after the question. Of the ways in
        which a tokenizer begins either word, the likeliest counts.

    Raises:
        InputError: logits that are not finite.
    """
    asked = question(words)
    yes, no = answer_tokens(backbone)

    def score(part: Sequence[Path]) -> np.ndarray:
        inputs = _question_inputs(backbone, asked, part)
        logits = backbone.model(**inputs, logits_to_keep=1).logits[:, -1].double()  # (B, words)
        watch = FiniteWatch()
        watch.see(0, logits)
        watch.require(lambda row: f"question about {words!r} and {part[row]}", "word")
        margin = logits[:, yes].amax(dim=1) - logits[:, no].amax(dim=1)
        return margin.sigmoid().cpu().numpy()

    return np.concatenate([np.zeros(0), *_answered_at_once(backbone, asked, 0).each(files, score)])


def answer_tokens(backbone: Backbone) -> tuple[list[int], list[int]]:
    """First tokens of "yes" and of "no", with and without a capital and a blank before it.

    Raises:
        InputError: the tokenizer begins both with the same tokens.
    """
    tokenizer = backbone.tokenizer

    def firsts(word: str) -> set[int]:
        texts = [blank + text for blank in ("", " ") for text in (word, word.capitalize())]
        return {tokenizer(text, add_special_tokens=False).input_ids[0] for text in texts}

    yes, no = firsts(YES), firsts(NO)
    if not yes - no or not no - yes:
        raise InputError("tokenizer: found the same tokens for yes and no, wanted different ones")
    return sorted(yes - no), sorted(no - yes)


def answer_shard(
    backbone: Backbone,
    manifest: str | Path,
    names: Sequence[str],
    others: Sequence[str],
    shard: int,
    shards: int,
    desc: str,
) -> pd.DataFrame:
    """Ask the questions (:func:`questions_about`) of one shard of a manifest, as :func:`caption_shard` does.

    Returns:
        One row a question, columns ANSWER_COLUMNS.
    """
    pictures = read_csv(manifest, ["image_id", "file", "references"])
    asked = shard_rows(questions_about(pictures, names, others), shard, shards)
    scores = np.zeros(len(asked))
    # Equal questions need no padding.
    for words, part in progress(list(asked.groupby("words", sort=False)), desc=desc, unit="question"):
        files = [Path(manifest).parent / name for name in part["file"]]
        scores[part.index] = yes_scores(backbone, files, str(words))
    answered = np.where(scores > HALF, YES, NO)
    return asked.assign(answered=answered, score=scores)[ANSWER_COLUMNS]
