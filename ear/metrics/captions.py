"""Scores of what a model says of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ear.metrics.bleu import bleu_protocol, corpus_bleu, length_ratio
from ear.metrics.inputs import read_captions
from ear.metrics.table import score_row


def caption_rows(captions: Sequence[str | Path], question: str) -> list[dict[str, Any]]:
    """BLEU of captions and their length over that of the references; no rows where there are none.

    Args:
        captions: tables as ``read_captions`` reads them.
        question: what the model was asked of each picture.
    """
    said, wanted = read_captions(captions)
    if not said:
        return []
    protocol = bleu_protocol(wanted, question)
    return [
        score_row("bleu", "captions", corpus_bleu(said, wanted), protocol),
        score_row("length_ratio", "captions", length_ratio(said, wanted), protocol),
    ]
