"""Scores of what a model says of pictures: BLEU of its descriptions, and right answers, yes or no.

sacrebleu does all of BLEU's counting.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sacrebleu.metrics.bleu import BLEU

from ear.evaluation.metrics_table import score_row
from ear.evaluation.protocols import CAPTIONS, RIGHT
from ear.evaluation.statistics.intervals import Interval, bootstrap_ends, wilson
from ear.images.reading import read_captions
from ear.models.chat_format import CAPTION_TOKENS
from ear.workflow.files import read_csv

SMOOTHING = "exp"  # sacrebleu's default
YES_NO = "yes-no/1"


def caption_rows(captions: Sequence[str | Path], question: str) -> list[dict[str, Any]]:
    """BLEU of captions and their length over that of the references; no rows where there are none.

    Args:
        captions: tables as ``read_captions`` reads them.
        question: what the model was asked of each picture.
    """
    said, wanted = read_captions(captions)
    if not said:
        return []
    protocol = f"{signature(wanted)}|asked:{question}|cut:{CAPTION_TOKENS} tokens"
    return [
        score_row("bleu", CAPTIONS, corpus_bleu(said, wanted), protocol),
        score_row("length_ratio", CAPTIONS, length_ratio(said, wanted), protocol),
    ]


def question_rows(answers: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Share of right answers, about the concept and about other things; no row of what was not asked.

    Half of the questions want a yes, or nearly: a model that always answers alike is right in half of them.

    Args:
        answers: tables with columns about, wanted and answered, the shards of one model.
    """
    if not answers:
        return []
    table = pd.concat(
        [read_csv(path, ["about", "wanted", "answered"]) for path in answers], ignore_index=True
    )
    rows = []
    for about, found in table.groupby("about", sort=True):
        right = int((found["answered"] == found["wanted"]).sum())
        rows.append(score_row(RIGHT, f"questions-{about}", wilson(right, len(found)), YES_NO))
    return rows


def corpus_bleu(captions: Sequence[str], references: Sequence[Sequence[str]], seed: int = 0) -> Interval:
    """Corpus BLEU-4 (0 … 100) of captions, with a bootstrap interval over images.

    sacrebleu's defaults (13a tokens, exponential smoothing) without case. An n-gram may match any reference
    of its caption, and the reference length is that of the reference nearest in length, the shorter one of
    two as near. A resample sums sacrebleu's counts of each caption.

    Args:
        captions: (N,) what was said. An empty caption counts with length 0.
        references: (N,) what was wanted, caption by caption: one reference or more.
        seed: seed of the resamples.
    """
    counts = _counts(captions, references)
    low, high = bootstrap_ends(tuple(counts.T), _bleu_of_counts, seed=seed)
    return Interval(float(_bleu_of_counts(*counts.T)), low, high, len(captions))


def length_ratio(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Interval:
    """Length of all captions over that of their references, in sacrebleu's tokens, both as BLEU counts them.

    Long answers (well above 1) have a low BLEU whatever they say. A description of the captions, so it has no
    interval. Arguments as in :func:`corpus_bleu`.
    """
    said, wanted = _counts(captions, references)[:, :2].sum(axis=0)
    return Interval(float(said / wanted), np.nan, np.nan, len(captions))


def signature(references: Sequence[Sequence[str]]) -> str:
    """sacrebleu's own description of the protocol, with its version and the number of references or "var"."""
    bleu = BLEU(smooth_method=SMOOTHING, lowercase=True)
    fewest, most = min(map(len, references)), max(map(len, references))
    # It reads the number of references off a corpus; two captions are enough for one.
    sequences: list[Any] = [["a", "a" if number < fewest else None] for number in range(most)]
    bleu.corpus_score(["a", "a"], sequences)
    return str(bleu.get_signature())


def _counts(captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """(N, 10) int64, by caption: hypothesis length, reference length, matches and totals of orders 1 to 4."""
    # Only its counts are used; they do not depend on the order.
    sentence = BLEU(smooth_method=SMOOTHING, lowercase=True, effective_order=True)
    scores = [
        sentence.sentence_score(said, list(wanted)) for said, wanted in zip(captions, references, strict=True)
    ]
    return np.array([[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scores], dtype=np.int64)


def _bleu_of_counts(*counts: np.ndarray, axis: int = -1) -> np.ndarray:
    """BLEU from (…, N) arrays of hypothesis length, reference length, matches and totals of orders 1 to 4."""
    sums = np.stack([array.sum(axis=axis) for array in counts], axis=-1)  # (…, 10)
    values = [
        BLEU.compute_bleu(row[2:6], row[6:], row[0], row[1], smooth_method=SMOOTHING).score
        for row in sums.reshape(-1, len(counts)).tolist()
    ]
    # sacrebleu's exponential of logarithms gives a perfect corpus 100.00000000000004.
    return np.minimum(values, 100).reshape(sums.shape[:-1])
