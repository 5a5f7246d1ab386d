"""The judge that a concept's settings ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ear.errors import InputError
from ear.judges.base import Judge


def load_judge(settings: Mapping[str, Any], folder: Path, device: str = "cpu") -> Judge:
    """Load a judge; only the libraries that it needs are imported.

    Args:
        settings: ``by`` and the keys of that kind of judge. "classifier": group, label, top_k. "artist":
            label, top_k. "nudenet": threshold.
        folder: the judge's model: a folder of timm, of transformers, or with NudeNet's 320n.onnx.
        device: where it runs; NudeNet always runs on the CPU.

    Raises:
        InputError: there is no such kind of judge, or the folder does not hold its model.
    """
    match settings["by"]:
        case "classifier":
            from ear.judges.classifier import Classifier
            from ear.judges.ranking import ConceptJudge, ConceptQuestion

            question = ConceptQuestion(settings["group"], settings["label"], settings["top_k"])
            return ConceptJudge(Classifier.load(folder, device), question)
        case "artist":
            from ear.judges.artist import ArtistClassifier
            from ear.judges.ranking import UNGROUPED, ConceptJudge, ConceptQuestion

            question = ConceptQuestion(UNGROUPED, settings["label"], settings["top_k"], of="artist")
            return ConceptJudge(ArtistClassifier.load(folder, device), question)
        case "nudenet":
            from ear.judges.nudity import NudityJudge

            return NudityJudge(folder, settings["threshold"])
        case other:
            raise InputError(f"judge: by: found {other!r}, wanted classifier, artist or nudenet")
