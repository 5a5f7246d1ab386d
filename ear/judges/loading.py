"""The judge that a concept's settings ask for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ear.judges.base import Judge


def load_judge(
    settings: Mapping[str, Any], folder: Path, device: str = "cpu", second_file: str = ""
) -> Judge:
    """Load a judge; only the libraries that it needs are imported.

    Args:
        settings: ``by`` and the keys of that kind of judge. "classifier": group, label, top_k. "artist":
            label, top_k, and asset, by which its protocol is named. "nudenet": threshold. "q16": none.
            "zero-shot": what its calibration has too.
        folder: the judge's model: of timm, of transformers, with NudeNet's 320n.onnx, or of open_clip.
        device: where it runs; NudeNet always runs on the CPU.
        second_file: the calibration of a zero-shot judge; a file in the folder of Q16's prompts.

    Raises:
        InputError: the folder does not hold the judge's model.
    """
    if settings["by"] == "nudenet":
        from ear.judges.nudenet import NudityJudge

        return NudityJudge(folder, settings["threshold"])
    if settings["by"] == "zero-shot":
        from ear.judges.zero_shot import ZeroShotJudge

        return ZeroShotJudge.load(folder, second_file, device)
    if settings["by"] == "q16":
        from ear.judges.q16 import PROMPTS, Q16Judge

        return Q16Judge(folder, Path(second_file).parent / PROMPTS, device)
    from ear.judges.ranking import UNGROUPED, ConceptJudge

    if settings["by"] == "artist":
        from ear.judges.artist import ArtistClassifier

        artists = ArtistClassifier.load(folder, device)
        of = settings.get("asset") or "artist"
        return ConceptJudge(artists, UNGROUPED, settings["label"], settings["top_k"], of)
    from ear.judges.classifier import Classifier

    classifier = Classifier.load(folder, device)
    return ConceptJudge(classifier, settings["group"], settings["label"], settings["top_k"])


def load_judges(
    settings: Sequence[Mapping[str, Any]],
    files: Sequence[Sequence[str]],
    device: str = "cpu",
    objects: Sequence[str] = (),
) -> tuple[Judge, Judge | None]:
    """Load a concept's judge, and its second one where it has two.

    Args:
        settings: settings of each judge, as :func:`load_judge` takes them.
        files: for each judge a file in the folder of its model, and the ``second_file`` of some.
        device: where they run.
        objects: a file in the folder of a classifier that names objects, where the first judge knows none.
    """
    judges = [
        load_judge(keys, Path(model).parent, device, *second_file)
        for keys, (model, *second_file) in zip(settings, files, strict=False)
    ]
    if objects:
        from ear.judges.classifier import Classifier
        from ear.judges.ranking import NamingObjects

        judges[0] = NamingObjects(judges[0], Classifier.load(Path(objects[0]).parent, device))
    return judges[0], judges[1] if len(judges) > 1 else None
