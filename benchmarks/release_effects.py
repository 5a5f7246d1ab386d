"""What the authors' release does to the mini world: the figures of docs/explanation/release.md.

Usage: ``python -m benchmarks.release_effects [EFFECT …] [--config config.yaml]``.
Reads the models in models/, draws and trains all else in memory, writes nothing, and
prints one JSON line an effect: to three digits, rates with their intervals. 4 minutes on one thread.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ear.config import parse_config
from ear.erasure.sequences import Pair, pairs_of, sample_sequences
from ear.erasure.trainer import Trainer
from ear.erasure.variants import Settings, Threshold
from ear.evaluation.metrics.fid import Extractor, features_of, fid
from ear.evaluation.metrics.image_scores import clip_scores, through_jpeg
from ear.evaluation.statistics.intervals import wilson
from ear.images.rendering import image_seed
from ear.images.sampling import Guidance, sample_prompts
from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.models.backbone import Backbone, Tokens
from ear.models.catalogue import ROOT, load_catalogue, shapes_of
from ear.models.families import load_backbone
from ear.models.janus import Janus
from ear.prompts.tables import general_of
from ear.workflow.seeding import stable_seed
from ear.world.grammar import Grammar, general_prompts

BATCH_SIZE = 100
RELEASE_BATCH = 4  # prompts that the release draws at once
COCO_IDS = 600_000  # image ids of val2014 are below
Facts = dict[str, Any]


class World:
    """The trained models of a mini experiment, with its prompts, seeds and settings."""

    def __init__(self, config: Path) -> None:
        raw = yaml.safe_load(config.read_text(encoding="utf-8"))
        self.config = parse_config(raw, str(config), shapes_of(load_catalogue(ROOT / "assets.yaml")))
        self.backbone = load_backbone(str(ROOT / "models/mini-backbone"), "float32", "cpu")
        self.classifier = Classifier.load(ROOT / "models/mini-classifier")
        self.clip = Clip.load(ROOT / "models/mini-clip")

    def grammar(self, concept: str) -> Grammar:
        entry = self.config.concepts[concept]
        return Grammar(concept, entry.kind, entry.words, self.config.seed)

    def pairs(self, concept: str) -> list[Pair]:
        return pairs_of(self.grammar(concept).pairs(self.config.prompts.pairs))

    def targets(self, concept: str) -> pd.DataFrame:
        return self.grammar(concept).target(self.config.prompts.target).head(100)

    def retention(self, concept: str, count: int) -> pd.DataFrame:
        return self.grammar(concept).retention(self.config.prompts.retention).head(count)

    def general(self) -> pd.DataFrame:
        return general_of(general_prompts(300, self.config.seed), "church", 300)

    def settings(self, concept: str, method: str, **changes: Any) -> Settings:
        """Settings of a method of the config, with some choices of its variant replaced."""
        settings = self.config.settings(concept, method)
        return replace(settings, variant=replace(settings.variant, **changes))

    def sequences(self, pairs: Sequence[Pair], settings: Settings) -> dict[str, Tensor]:
        """Token sequences of the frozen model for the first fine-tuning seed."""
        variant, seed = settings.variant, stable_seed(self.config.seed, 0, "streams")
        how = self.config.sampling.guidance, self.config.sampling.temperature, BATCH_SIZE
        return sample_sequences(self.backbone, pairs, variant.context, variant.encoding, seed, *how)

    def trainer(self, concept: str, settings: Settings) -> Trainer:
        pairs, seed = self.pairs(concept), stable_seed(self.config.seed, 0)
        return Trainer(self.backbone, pairs, self.sequences(pairs, settings), settings, seed)

    @contextmanager
    def erased(self, concept: str, settings: Settings) -> Iterator[None]:
        """The backbone is fine-tuned inside of the block."""
        trainer = self.trainer(concept, settings)
        trainer.run(settings.variant.window, desc=f"erasing {concept}")
        try:
            yield
        finally:
            trainer.restore()

    def draw(
        self,
        prompts: pd.DataFrame,
        encoding: str = "chat",
        batch_size: int = BATCH_SIZE,
        backbone: Backbone | None = None,
    ) -> Tensor:
        """Image tokens of evaluation prompts, (N, T)."""
        texts, sampling = list(prompts["prompt"]), self.config.sampling
        seeds = [image_seed(self.config.seed, prompt_id) for prompt_id in prompts["prompt_id"]]
        how = encoding, Guidance(sampling.guidance), sampling.temperature
        parts = [slice(at, at + batch_size) for at in range(0, len(texts), batch_size)]
        model = backbone or self.backbone
        return torch.cat([sample_prompts(model, texts[at], seeds[at], *how) for at in parts])

    def pictures(self, tokens: Tensor, backbone: Backbone | None = None) -> list[Image.Image]:
        return [Image.fromarray(pixels) for pixels in (backbone or self.backbone).pixels(tokens)]

    def share(self, tokens: Tensor, group: str, labels: str | Sequence[str]) -> list[float]:
        """Share of images whose most likely label is the wanted one, with its interval."""
        hits = np.array(self.classifier.predict(self.pictures(tokens)).top1(group)) == np.array(labels)
        return list(wilson(int(hits.sum()), len(hits))[:3])

    def shown(self, concept: str, tokens: Tensor) -> list[float]:
        judge = self.config.concepts[concept].judge
        return self.share(tokens, judge.group, judge.label)

    def measured(self, concept: str, encoding: str = "chat") -> Facts:
        """Concept rate and retention accuracy of the backbone as it stands."""
        others = self.retention(concept, 100)
        return {
            "concept": self.shown(concept, self.draw(self.targets(concept), encoding)),
            "right object": self.share(self.draw(others, encoding), "object", others["object"].to_list()),
        }


def states_along(backbone: Backbone, prompts: Tokens, codes: Tensor) -> Tensor:
    """States after the first image token of prompts read along a sequence: (B, L), (B, T) → (B, T − 1, D)."""
    mask = torch.cat([prompts.mask, prompts.mask.new_ones(len(prompts), codes.shape[1] - 1)], dim=1)
    embeds = torch.cat([backbone.embed_text(prompts.ids), backbone.embed_image(codes[:, :-1])], dim=1)
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    hidden = backbone.language_model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False
    )
    return hidden.last_hidden_state[:, prompts.length :]


def no_context(world: World) -> Facts:
    """Row 1: how often do the sequences that are sampled without context show the concept?"""
    facts = Facts()
    for concept in world.config.concepts:
        for method in ("released", "ear"):
            drawn = world.sequences(world.pairs(concept), world.settings(concept, method))
            facts[f"{concept} in unsafe sequences, {method}"] = world.shown(concept, drawn["unsafe"])
    return facts


@torch.no_grad()
def independent_sequences(world: World) -> Facts:
    """Row 2: how much of what independent sequences ask for has to do with the concept?"""
    backbone, facts = world.backbone, Facts()
    for concept in world.config.concepts:
        pairs, settings = world.pairs(concept), world.settings(concept, "ear", context="independent")
        unsafe, safe = (backbone.encode([pair[side] for pair in pairs], "chat") for side in (1, 2))
        drawn = world.sequences(pairs, settings)
        own = states_along(backbone, unsafe, drawn["unsafe"])
        # What is asked for: the teacher less the state that is to become it, (P, T − 1, D).
        along = {
            "independent": [drawn["safe"], drawn["safe-2"]],
            "aligned": [drawn["unsafe"], drawn["unsafe"]],
        }
        asked = {}
        for name, sequences in along.items():
            wanted, away = (states_along(backbone, safe, codes) for codes in sequences)
            asked[name] = wanted - settings.eta * (own - away) - own
        independent, aligned = asked.values()
        facts[concept] = {
            "equal tokens, unsafe and safe": (drawn["unsafe"] == drawn["safe"]).float().mean(),
            "loss, independent over aligned": independent.square().mean() / aligned.square().mean(),
            "cosine": functional.cosine_similarity(independent, aligned, dim=-1).mean(),
        }
    return facts


def one_change(world: World) -> Facts:
    """Rows 1 to 3: the church erased by `ear` with one choice at a time as released, and by `released`."""
    concept = "church"
    facts = {f"original, {way}": world.measured(concept, way) for way in ("chat", "raw")}
    runs = {"ear": world.settings(concept, "ear"), "released": world.settings(concept, "released")}
    for key, choice in (("encoding", "raw"), ("context", "independent"), ("context", "none")):
        runs[f"ear {choice}"] = world.settings(concept, "ear", **{key: choice})
    for name, settings in runs.items():
        with world.erased(concept, settings):
            facts[name] = world.measured(concept)
    return facts


def threshold_on_sum(world: World) -> Facts:
    """Row 4: with one μ for all W, what share of windows is stepped on?"""
    settings, own = world.settings("van-gogh", "ear"), world.config.concepts["van-gogh"].window
    trainer = world.trainer("van-gogh", settings)
    value = trainer.threshold(own)
    trainer.settings = replace(settings, threshold=Threshold(value, quantile=None, factor=1.0))
    logs = {window: trainer.run(window, desc="μ") for window in world.config.erasure.windows}
    trainer.restore()
    return {"own W": own, "μ": value, "share": {key: 1 - log["skipped"].mean() for key, log in logs.items()}}


def released_pairing(image_ids: Sequence[int]) -> list[int]:
    """Row of the image that the release scores with each row's prompt: it sorts the files by name."""
    names = [f"COCO_val2014_{image_id:012d}.jpg" for image_id in image_ids]
    return sorted(range(len(names)), key=names.__getitem__)


def clip_pairing(world: World) -> Facts:
    """Row 6: what is left of a drop of the CLIP score when images meet other images' prompts?"""
    prompts = world.general()
    ids = np.random.default_rng(0).choice(COCO_IDS, size=len(prompts), replace=False)
    order, texts = released_pairing(ids.tolist()), world.clip.encode_texts(list(prompts["prompt"]))

    def scores() -> Facts:
        images = world.clip.encode_images(world.pictures(world.draw(prompts)))
        paired = {"own prompt": images, "as released": images[order]}
        return {name: clip_scores((part * texts).sum(axis=1)).mean() for name, part in paired.items()}

    facts: Facts = {"original": scores()}
    for method in ("ear", "released"):
        with world.erased("church", world.settings("church", method)):
            facts[f"{method}, church"] = scores()
    return facts


class Unmasked(Janus):
    """A backbone that reads the padding of a batch as if it were part of the prompt."""

    def with_unconditional(self, tokens: Tokens) -> Tokens:
        rows = super().with_unconditional(tokens)
        return Tokens(rows.ids, torch.ones_like(rows.mask))


def unmasked_padding(world: World) -> Facts:
    """Row 7: what changes in an image that is drawn in a batch of four, its padding masked or not?"""
    prompts, facts = world.retention("church", 200), Facts()
    alone = world.draw(prompts, batch_size=1)
    unmasked = Unmasked(world.backbone.model, world.backbone.processor)
    for name, backbone in (("masked", None), ("unmasked", unmasked)):
        tokens = world.draw(prompts, batch_size=RELEASE_BATCH, backbone=backbone)
        changed = tokens != alone
        facts[f"batches of 4, {name}"] = {
            "changed images": changed.any(dim=1).float().mean(),
            "changed tokens": changed.float().mean(),
            "right object": world.share(tokens, "object", prompts["object"].to_list()),
        }
    return facts


def other_bytes(world: World) -> Facts:
    """Rows 12 and 13: what changes in general images that are saved as JPEG, or whose colours are cut off?"""
    prompts = world.general()
    tokens, cut = world.draw(prompts), Janus(world.backbone.model, world.backbone.processor, rounded=False)
    images = world.pictures(tokens)
    sides = {"as drawn": images, "JPEG": through_jpeg(images), "cut off": world.pictures(tokens, cut)}
    extractor = Extractor("classifier", world.classifier.clean_fid_features)
    drawn, features = np.stack(images).astype(float), features_of(images, extractor)
    halves = np.split(features[: len(features) // 2 * 2], 2)
    facts: Facts = {"FID, one half to the other": fid(*halves).value}
    for name, side in sides.items():
        difference = drawn - np.stack(side).astype(float)
        facts[name] = {
            "grey levels apart, root mean square": np.sqrt(np.square(difference).mean()),
            "grey levels darker": difference.mean(),
            "bytes that differ": (difference != 0).mean(),
            "CLIP score": clip_scores(world.clip.cosines(side, list(prompts["prompt"]))).mean(),
            "FID": fid(features_of(side, extractor), features).value,
        }
    return facts


EFFECTS: dict[str, Callable[[World], Facts]] = {
    "no-context": no_context,
    "independent-sequences": independent_sequences,
    "one-change": one_change,
    "threshold-on-sum": threshold_on_sum,
    "clip-pairing": clip_pairing,
    "unmasked-padding": unmasked_padding,
    "other-bytes": other_bytes,
}


def main() -> None:
    """Measure the effects that are asked for and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("effects", nargs="*", metavar="EFFECT", help=f"all, or of {', '.join(EFFECTS)}")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="of the experiment")
    arguments = parser.parse_args()
    if unknown := set(arguments.effects) - set(EFFECTS):
        parser.error(f"found {unknown.pop()!r}, wanted one of {', '.join(EFFECTS)}")
    torch.set_num_threads(1)
    world = World(arguments.config)
    for name in arguments.effects or EFFECTS:
        plain = json.dumps({"effect": name, **EFFECTS[name](world)}, default=float)
        rounded = json.loads(plain, parse_float=lambda digits: float(f"{float(digits):.3g}"))
        print(json.dumps(rounded, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
