"""Yes/no questions about pictures of the mini world: all of them about a picture in one sequence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ear.world.captions import FIRE_PHRASE, SEPIA_PHRASE, STYLE_PHRASE
from ear.world.scenes import OBJECTS

ASKED = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)  # K things a picture is asked for


class Questions:
    """The questions and answers as tokens behind a picture.

    Each question sees what comes before it up to the picture's end, and itself, at the positions it has when
    it is asked alone. So a picture is read once for all of them: the answers are slow to learn, and 4 rows a
    step with one question each had reached .64 right answers when captions and images were learned.

    Args:
        asked: ids of each question of ASKED, from the end of the picture to where the answer begins.
        yes: id of "yes".
        no: id of "no".
        end: id of the end of a sentence.
        table: columns object, fire, van_gogh and sepia of the training set.
        start: tokens before the questions, the picture's last.

    Attributes:
        shown: (N, K) bool, what each picture shows.
        mask: (1, 1, S, S) bool, what each of the tokens sees; S with those before the questions.
        positions: (1, S) of the tokens.
    """

    def __init__(
        self, asked: Sequence[Tensor], yes: int, no: int, end: int, table: pd.DataFrame, start: int
    ) -> None:
        columns = [table["object"] == name for name in OBJECTS]
        columns += [table[name].astype(bool) for name in ("fire", "van_gogh", "sepia")]
        self.shown = torch.tensor(np.stack(columns, axis=1))
        self.yes, self.no, self.end = torch.tensor(yes), torch.tensor(no), torch.tensor(end)
        self.start = start
        lengths = torch.tensor([len(question) + 1 for question in asked])  # with the answer
        self.ids = torch.cat([part for question in asked for part in (question, self.no[None])])
        self.places = lengths.cumsum(0) - 1  # (K,) of the answers among ids
        block = torch.repeat_interleave(torch.arange(len(asked)), lengths)
        seen = torch.ones(start + len(block), start + len(block), dtype=torch.bool).tril()
        seen[start:, start:] &= block[:, None] == block[None]
        self.mask = seen[None, None]
        behind = [start + torch.arange(int(length)) for length in lengths]
        self.positions = torch.cat([torch.arange(start), *behind])[None]
        share = self.shown.float().mean(dim=0)
        self._weights = 0.5 / (1 - share), 0.5 / share  # of no and yes: alike in sum, for each question

    def answers(self, rows: np.ndarray) -> Tensor:
        """Ids (B, K) of the right answers."""
        return torch.where(self.shown[rows], self.yes, self.no)

    def tokens(self, rows: np.ndarray) -> Tensor:
        """Ids (B, A) of all questions with their right answers."""
        ids = self.ids.expand(len(rows), -1).clone()
        ids[:, self.places] = self.answers(rows)
        return ids

    def loss(self, rows: np.ndarray, before: Tensor, after: Tensor) -> Tensor:
        """Cross-entropy of the answers, as if half were "yes" to each question, and of the end, in nats.

        Args:
            rows: (B,) indices into the training set.
            before: (B, K, words) logits where the answers are due.
            after: (B, K, words) logits behind them.
        """
        answers = self.answers(rows)
        weights = torch.where(self.shown[rows], self._weights[1], self._weights[0])
        losses = F.cross_entropy(before.flatten(0, 1), answers.flatten(), reduction="none")
        ends = F.cross_entropy(after.flatten(0, 1), self.end.expand(answers.numel()))
        return (losses * weights.flatten()).mean() + ends

    def right(self, rows: np.ndarray, before: Tensor) -> Tensor:
        """(B, K) bool: the likeliest token is the right answer; arguments of ``loss``."""
        return before.argmax(dim=-1) == self.answers(rows)
