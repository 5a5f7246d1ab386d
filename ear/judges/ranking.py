"""Questions to a classifier's logits: probabilities within a group of labels, and the rank of one label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import softmax

from ear.errors import InputError
from ear.judges.base import Judge, Verdicts, in_batches

UNGROUPED = ""  # group of labels without a prefix: an ordinary classifier has this one group only
OBJECTS = "object"  # group whose most likely label is the object of the image
SHOWN = 12  # labels that an error names; it counts the others


@dataclass(frozen=True)
class Prediction:
    """What one forward pass says of N images, for any number of questions.

    Attributes:
        logits: (N, C) float32.
        groups: group name → label → column of ``logits``.
    """

    logits: np.ndarray
    groups: dict[str, dict[str, int]]

    def within(self, group: str = UNGROUPED) -> np.ndarray:
        """(N, G) float32 logits of the group's labels, in their order.

        Raises:
            InputError: there is no such group.
        """
        if group not in self.groups:
            raise InputError(
                f"classifier: group: found {group!r}, wanted one of {', '.join(map(repr, self.groups))}"
            )
        return self.logits[:, list(self.groups[group].values())]

    def probabilities(self, group: str = UNGROUPED) -> np.ndarray:
        """(N, G) float32 probabilities of the group's labels: a softmax within the group."""
        return softmax(self.within(group).astype(np.float64), axis=1).astype(np.float32)

    def top1(self, group: str = UNGROUPED) -> list[str]:
        """(N,) most likely label of the group for each image."""
        labels = list(self.groups[group])
        return [labels[index] for index in self.probabilities(group).argmax(axis=1)]


class Ranker:
    """A classifier of any library; its groups of labels are questions of their own, each with a softmax."""

    def __init__(self, model: Any, groups: dict[str, dict[str, int]], device: str) -> None:
        """Take a model and the columns of its labels by group."""
        self.model = model.eval().requires_grad_(False).to(device)
        self.groups = groups
        self.device = device

    def predict(self, images: Sequence[Image.Image]) -> Prediction:
        """One forward pass over RGB images of any size, which answers all later questions."""
        logits = [np.zeros((0, sum(map(len, self.groups.values()))), np.float32)]
        for batch in in_batches(images):
            logits.append(self._logits([image.convert("RGB") for image in batch]).float().cpu().numpy())
        return Prediction(np.concatenate(logits), self.groups)

    def _logits(self, images: Sequence[Image.Image]) -> Any:
        """(B, C) tensor of RGB images."""
        raise NotImplementedError


class ConceptJudge(Judge):
    """The judge that asks a classifier: is ``label`` among the ``top_k`` most likely labels of ``group``?"""

    def __init__(
        self, classifier: Ranker, group: str, label: str, top_k: int = 1, of: str = "classifier"
    ) -> None:
        """Ask a classifier; ``of`` is its kind, for the protocol's name."""
        self.classifier, self.group, self.label, self.top_k, self.of = classifier, group, label, top_k, of
        self.protocol = f"{of}-top{top_k}/1"

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Judge RGB images of any size; the score is the label's probability within the group.

        Raises:
            InputError: the classifier lacks the group or the label, or ``top_k`` is not 1 … number of labels.
        """
        prediction = self.classifier.predict(images)
        logits = prediction.within(self.group)  # (N, G)
        labels = list(prediction.groups[self.group])
        where = f"{self.of}: group {self.group!r}"
        if self.label not in labels:
            more = f", … ({len(labels)} in all)" if len(labels) > SHOWN else ""
            known = ", ".join(labels[:SHOWN]) + more
            raise InputError(f"{where}: found label {self.label!r}, wanted one of {known}")
        if not 1 <= self.top_k <= len(labels):
            raise InputError(f"{where}: found top_k {self.top_k}, wanted 1 to {len(labels)}")
        column = labels.index(self.label)
        rank = 1 + (logits > logits[:, [column]]).sum(axis=1)  # by logits: probabilities may round to equal
        return Verdicts(
            shown=rank <= self.top_k,
            score=prediction.probabilities(self.group)[:, column],
            rank=rank,
            objects=prediction.top1(OBJECTS) if OBJECTS in prediction.groups else None,
            labels=prediction.top1(self.group),
        )


class NamingObjects(Judge):
    """A judge that knows no objects, beside a classifier that does: retention is measured all the same."""

    def __init__(self, of_concept: Judge, classifier: Ranker) -> None:
        """Take the judge of the concept and the classifier that names objects."""
        self.of_concept, self.classifier = of_concept, classifier
        self.protocol, self.threshold = of_concept.protocol, of_concept.threshold

    def judge(self, images: Sequence[Image.Image]) -> Verdicts:
        """Verdicts of the judge of the concept, with the classifier's most likely object."""
        return replace(self.of_concept.judge(images), objects=self.classifier.predict(images).top1(OBJECTS))


def grouped(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Columns of labels by group: "object:church" is label "church" of group "object".

    Args:
        names: the labels in the order of the columns.

    Raises:
        InputError: a label occurs twice.
    """
    groups: dict[str, dict[str, int]] = {}
    for column, name in enumerate(names):
        group, _, label = name.rpartition(":")
        if label in groups.setdefault(group, {}):
            raise InputError(f"classifier: found label {name!r} twice, wanted each label once")
        groups[group][label] = column
    return groups
