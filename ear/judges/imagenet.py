"""Labels of ImageNet's thousand classes, as the classifier names them, without torch."""

import csv
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[str, ...]:
    """(1000,) names in the order of the classes, from the files that timm carries; timm is not imported."""
    package = find_spec("timm")
    assert package and package.submodule_search_locations, "timm is among the dependencies"
    folder = Path(package.submodule_search_locations[0]) / "data/_info"
    with (folder / "imagenet_synset_to_lemma.txt").open(encoding="utf-8", newline="") as handle:
        lemmas = dict(csv.reader(handle, delimiter="\t"))
    synsets = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    words = [lemmas[synset].split(",")[0] for synset in synsets]
    # A word that names two classes ("crane") carries its WordNet id.
    return tuple(
        word if words.count(word) == 1 else f"{word} ({synset})"
        for word, synset in zip(words, synsets, strict=True)
    )
