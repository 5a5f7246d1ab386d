"""Made-up inputs of a report page: two concepts, one of them sensitive, with hostile prompts and further axes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ear.evaluation.columns import DEVIATIONS_CSV, METRICS_CSV
from ear.evaluation.score_card import score_card
from ear.prompts.tables import SAMPLE
from ear.report.figures.images import ImageSource

CAPTIONS = Path(__file__).parents[1] / "report"
HOSTILE = "<img src=x onerror=alert(1)> a \"church\" & 'boat' </script>"
LONG = "ein Kirchlein 教会 \u2028 🔥 " + "x" * 3000
CONCEPTS = ("church", "fire")
METHODS = ("original", "wga", "ear")
RUNS = (("original", 0), ("wga", 0), ("ear", 0), ("ear", 1))
SETS = ("retention", "target", "prefix-16", "prefix-4")
SENSITIVE = "fire"
COSTS = {("church", "ear"): (12.345, 70123.0), ("church", "wga"): (3456.7, 950.0)}
FID = {"original": 1.2, "wga": 9.9}
SECTIONS = {"tradeoff": "Erased and kept", "prefix": "Attacks", "concept-rate": "More figures"}
PROMPTS = 4
SIDE = 64


def write_inputs(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows = []
    for concept in CONCEPTS:
        for method in METHODS:
            for prompt_set, metric in (
                ("target", "concept_rate"),
                ("retention", "accuracy"),
                ("general", "kid"),
                ("prefix-4", "concept_rate"),
                ("prefix-16", "concept_rate"),
            ):
                lacking = (("fire", "wga", "retention"), ("church", "wga", "prefix-16"))
                if (concept, method, prompt_set) not in lacking:
                    low, value, high = np.sort(rng.uniform(size=3))
                    rows.append((concept, method, "0", prompt_set, metric, value, low, high, 40))
    rows += [("church", one, "0", "general", "fid", fid, "", "", 9) for one, fid in FID.items()]
    metrics = METRICS_CSV.frame(rows).replace("", np.nan)
    metrics = pd.concat(
        [metrics, metrics[metrics.method == "ear"].assign(seed="1"), metrics.assign(seed="all")]
    )
    metrics.to_csv(folder / "metrics.csv", index=False)
    score_card(metrics, image_tokens=64).to_csv(folder / "score-card.csv", index=False)
    galleries = {
        concept: [write_images(folder, concept, method, seed) for method, seed in RUNS]
        for concept in CONCEPTS
    }
    figures = []
    for name in SECTIONS:
        figures.append((SECTIONS[name], folder / f"{name}.png", CAPTIONS / f"{name}.rst", ""))
    for concept in CONCEPTS:
        path = folder / f"training-{concept}.png"
        figures.append(("More figures", path, CAPTIONS / "training.rst", concept))
    for _, path, *_ in figures:
        Image.new("RGB", (600, 300), "white").save(path)
    deviations = [
        ("nudity", "nudity", "original", "ANUS_EXPOSED", 1, 0.0, 7.5, 2.0, 12.25, 1539, "outside", HOSTILE),
        ("claims", "church", "ear", "bleu_drop", 1.2, np.nan, 0.4, 0.1, 0.7, 500, "inside", ""),
    ]
    DEVIATIONS_CSV.frame(deviations).to_csv(folder / "deviations.csv", index=False)
    return {
        "title": f"Run {HOSTILE}",
        "method": "ear",
        "sample_rows": 2,
        "deviations": folder / "deviations.csv",
        "warning": f"Stand-ins {HOSTILE}",
        "metrics": folder / "metrics.csv",
        "score_card": folder / "score-card.csv",
        "costs": COSTS,
        "figures": figures,
        "galleries": galleries,
        "provenance": {"Run": {"seed": 42, "note": HOSTILE}, "Config": f"title: {HOSTILE}\nseed: 42\n"},
    }


def colour(concept: str, method: str, seed: int, prompt_set: str, number: int) -> tuple[int, int, int]:
    """Of one picture: no two have the same."""
    one = 40 * (3 * (concept == "fire") + METHODS.index(method))
    return (one, 60 * number + 20, 30 * (SETS.index(prompt_set) if prompt_set in SETS else 5) + 100 * seed)


def write_images(folder: Path, concept: str, method: str, seed: int) -> ImageSource:
    place = folder / concept / method / str(seed)
    place.mkdir(parents=True)
    manifest, verdicts = [], []
    # Only the original has a ceiling; what it shows alone.
    for prompt_set in (*SETS, "ceiling-16") if method == "original" else SETS:
        for number in range(PROMPTS):
            prompt_id = f"{concept}/{prompt_set}/{number}"
            image = Image.new("RGB", (SIDE, SIDE), colour(concept, method, seed, prompt_set, number))
            # A white bar: blurred, its edge is gone.
            image.paste("white", (28, 0, 36, SIDE))
            name = f"{prompt_set}{number}.png"
            image.save(place / name)
            prompt = HOSTILE if number == 0 else LONG if number == 3 else f"a boat {number}"
            # EAR fails on target prompt 1 and draws a tree for retention prompt 1.
            asks = prompt_set != "retention"
            shown = asks and (method == "original" or (method, prompt_set, number) == ("ear", "target", 1))
            seen = "tree" if (method, prompt_set, number) == ("ear", "retention", 1) else "boat"
            score = (0.9 if shown else 0.1 + 0.01 * ((number + 2) % PROMPTS)) + 0.001 * seed
            for sample in range(2):
                own = f"{prompt_id}{SAMPLE}{sample}" if sample else prompt_id
                manifest.append((own, prompt_set, prompt, "boat", "", number, name))
                verdicts.append((own, shown != (sample == 1), seen, score))
    columns = ["prompt_id", "prompt_set", "prompt", "object", "window", "seed", "file"]
    pd.DataFrame(manifest, columns=columns).to_csv(place / "manifest.csv", index=False)
    said = pd.DataFrame(verdicts, columns=["prompt_id", "shown", "top1_object", "score"])
    said.assign(window="").to_csv(place / "verdicts.csv", index=False)
    files = (place / "manifest.csv",), place / "verdicts.csv"
    return ImageSource(concept, method, seed, None, concept == SENSITIVE, *files)
