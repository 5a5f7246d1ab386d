"""What the behaviours of the authors' release do to the mini world: the figures of docs/explanation/release.md.

Usage: ``python -m benchmarks.release_effects [EFFECT …] [--config config.yaml]``.
Reads the models in models/, draws and trains all else in memory, writes nothing, and
prints one JSON line an effect: to three digits, rates with their intervals. 4 minutes on one thread.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ear.config import Config, parse_config
from ear.config.concepts import ClassifierJudge
from ear.config.sources import Prompts
from ear.erasure.sequences import Pair, sample_sequences
from ear.erasure.trainer import Trainer, trained_modules
from ear.erasure.variants import Settings, Threshold, ThresholdOn
from ear.evaluation.metrics.fid import Extractor, features_of, fid
from ear.evaluation.metrics.image_scores import through_jpeg
from ear.evaluation.metrics.rates import clip_scores
from ear.evaluation.statistics.intervals import wilson
from ear.images.rendering import image_seed
from ear.images.sampling import Guidance, sample_prompts
from ear.judges.classifier import Classifier
from ear.judges.clip import Clip
from ear.models.catalogue import ROOT, load_catalogue, shapes_of
from ear.models.janus import Backbone, Encoding, Tokens
from ear.prompts.tables import general_of
from ear.workflow.seeding import stable_seed
from ear.world.grammar import Grammar, general_prompts

BATCH_SIZE = 100
RELEASE_BATCH = 4  # prompts that the release draws at once
COCO_IDS = 600_000  # image ids of val2014 are below
Facts = dict[str, Any]


@dataclass(frozen=True)
class World:
    """The trained models of the mini experiment, with its prompts, seeds and settings."""

    config: Config
    prompts: Prompts
    backbone: Backbone
    classifier: Classifier
    clip: Clip

    def grammar(self, concept: str) -> Grammar:
        """Where the prompts of a concept come from."""
        entry = self.config.concepts[concept]
        assert entry.kind != "unsafe", "the mini world draws no such concept"
        return Grammar(concept, entry.kind, entry.words, self.config.seed)

    def pairs(self, concept: str) -> list[Pair]:
        """The training pairs; the visual filter keeps all candidates."""
        table = self.grammar(concept).pairs(self.prompts.pairs)
        return list(table[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None))

    def settings(self, concept: str, method: str, **overrides: Any) -> Settings:
        """Settings of a method of the config, with some overrides of its variant replaced."""
        settings = self.config.settings(concept, method)
        return replace(settings, variant=replace(settings.variant, **overrides))

    def sequences(self, pairs: Sequence[Pair], settings: Settings) -> dict[str, Tensor]:
        """Token sequences of the frozen model for the first fine-tuning seed."""
        chosen, seed = settings.variant, stable_seed(self.config.seed, 0, "streams")
        how = self.config.sampling.guidance, self.config.sampling.temperature, BATCH_SIZE
        return sample_sequences(self.backbone, pairs, chosen.context, chosen.encoding, seed, *how)

    def trainer(self, concept: str, settings: Settings) -> Trainer:
        """The fine-tuning of the first seed."""
        pairs, seed = self.pairs(concept), stable_seed(self.config.seed, 0)
        return Trainer(self.backbone, pairs, self.sequences(pairs, settings), settings, seed)

    @contextmanager
    def erased(self, concept: str, settings: Settings) -> Iterator[None]:
        """The backbone is fine-tuned inside of the block."""
        trainer, window = self.trainer(concept, settings), settings.variant.window
        assert isinstance(window, int), "the config gives every method here its window"
        trainer.run(window, desc=f"erasing {concept}")
        try:
            yield
        finally:
            trainer.restore()

    def draw(
        self, prompts: pd.DataFrame, encoding: Encoding = "chat", batch_size: int = BATCH_SIZE
    ) -> Tensor:
        """Image tokens of evaluation prompts, (N, T)."""
        texts, sampling = list(prompts["prompt"]), self.config.sampling
        seeds = [image_seed(self.config.seed, prompt_id) for prompt_id in prompts["prompt_id"]]
        how = encoding, Guidance(sampling.guidance), sampling.temperature
        parts = [slice(at, at + batch_size) for at in range(0, len(texts), batch_size)]
        return torch.cat([sample_prompts(self.backbone, texts[at], seeds[at], *how) for at in parts])

    def pictures(self, tokens: Tensor) -> list[Image.Image]:
        """Image tokens, (N, T), as pictures."""
        return [Image.fromarray(pixels) for pixels in self.backbone.pixels(tokens)]

    def share(self, tokens: Tensor, group: str, labels: str | Sequence[str]) -> list[float]:
        """Share of images whose most likely label is the wanted one, with its interval."""
        hits = np.array(self.classifier.predict(self.pictures(tokens)).top1(group)) == np.array(labels)
        return list(wilson(int(hits.sum()), len(hits))[:3])

    def judge(self, concept: str) -> ClassifierJudge:
        """Which label shows a concept."""
        judge = self.config.concepts[concept].judge
        assert isinstance(judge, ClassifierJudge), "the mini world has a classifier"
        return judge

    def shown(self, concept: str, tokens: Tensor) -> list[float]:
        """Concept rate."""
        judge = self.judge(concept)
        return self.share(tokens, judge.group, judge.label)

    def measured(self, concept: str, encoding: Encoding = "chat", count: int = 100) -> Facts:
        """Concept rate and retention accuracy of the backbone as it stands."""
        targets = self.grammar(concept).target(self.prompts.target).head(count)
        others = self.grammar(concept).retention(self.prompts.retention).head(count)
        return {
            "concept": self.shown(concept, self.draw(targets, encoding)),
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


def states_alone(backbone: Backbone, codes: Tensor) -> Tensor:
    """States of image tokens as the release reads them, each alone at position 0: (N,) → (N, D)."""
    embeds = backbone.embed_image(codes[:, None])
    return backbone.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state[:, 0]


def apart(one: Tensor, other: Tensor) -> float:
    """Root mean square of a difference, relative to that of ``one``."""
    return float((one - other).square().mean().sqrt() / one.square().mean().sqrt())


def largest_gradients(backbone: Backbone, layers: int, read: Callable[[], Tensor]) -> dict[str, float]:
    """Largest absolute gradient of each projection of the first K layers.

    Args:
        backbone: the model.
        layers: K.
        read: gives N states, (N, D); the loss wants each to be the state before it.
    """
    modules = trained_modules(backbone, layers)
    weights = [module.weight.requires_grad_(True) for module in modules.values()]
    with torch.enable_grad():
        states = read()
        loss = (states - states.detach().roll(1, dims=0)).square().mean()
    gradients = torch.autograd.grad(loss, weights)
    largest: dict[str, float] = {}
    for name, weight, gradient in zip(modules, weights, gradients, strict=True):
        weight.requires_grad_(False)
        kind = name.rpartition(".")[2]
        largest[kind] = max(largest.get(kind, 0.0), gradient.abs().max().item())
    return largest


@torch.no_grad()
def no_context(world: World) -> Facts:
    """Row 1: what do attention, guidance and the sequences lose without context?"""
    backbone, settings, pairs = world.backbone, world.settings("church", "ear"), world.pairs("church")
    codes = world.sequences(pairs, settings)["unsafe"].repeat(2, 1)
    rows = backbone.with_unconditional(backbone.encode([unsafe for _, unsafe, _ in pairs], "chat"))
    facts: Facts = {
        "gradients, alone": largest_gradients(
            backbone, settings.layers, lambda: states_alone(backbone, codes[0])
        ),
        "gradients, with context": largest_gradients(
            backbone, settings.layers, lambda: states_along(backbone, rows, codes).flatten(0, 1)
        ),
        "guidance rows apart, alone": apart(*states_alone(backbone, codes.flatten()).chunk(2)),
        "guidance rows apart, with context": apart(*states_along(backbone, rows, codes).chunk(2)),
    }
    for concept in world.config.concepts:
        for method in ("released", "ear"):
            drawn = world.sequences(world.pairs(concept), world.settings(concept, method))
            facts[f"{concept} in unsafe sequences, {method}"] = world.shown(concept, drawn["unsafe"])
    return facts


@torch.no_grad()
def independent_sequences(world: World, concept: str) -> Facts:
    """Row 2: how much of what independent sequences ask for has to do with the concept?"""
    backbone, pairs = world.backbone, world.pairs(concept)
    settings = world.settings(concept, "ear", context="independent")
    unsafe, safe = (backbone.encode([pair[side] for pair in pairs], "chat") for side in (1, 2))
    drawn = world.sequences(pairs, settings)
    same = world.sequences([(pair_id, text, text) for pair_id, text, _ in pairs], settings)
    own = states_along(backbone, unsafe, drawn["unsafe"])

    def asked(twin: Tokens, target: Tensor, neutral: Tensor) -> Tensor:
        """The target less the state that is to become it: (P, T − 1, D)."""
        wanted, away = (states_along(backbone, twin, codes) for codes in (target, neutral))
        return wanted - settings.eta * (own - away) - own

    independent = asked(safe, drawn["safe"], drawn["safe-2"])
    aligned = asked(safe, drawn["unsafe"], drawn["unsafe"])
    equal_prompts = asked(unsafe, same["safe"], same["safe-2"])
    return {
        "equal tokens, unsafe and safe": (drawn["unsafe"] == drawn["safe"]).float().mean(),
        "equal tokens, safe and safe-2": (drawn["safe"] == drawn["safe-2"]).float().mean(),
        "loss, independent over aligned": independent.square().mean() / aligned.square().mean(),
        "loss, equal prompts over independent": equal_prompts.square().mean() / independent.square().mean(),
        "cosine of independent and aligned": functional.cosine_similarity(
            independent, aligned, dim=-1
        ).mean(),
    }


def one_change(world: World) -> Facts:
    """Rows 1 to 3: the church erased by `ear` with one choice at a time as released, and by `released`."""
    concept = "church"
    facts = {f"original, {way}": world.measured(concept, way) for way in ("chat", "raw")}
    changes: list[dict[str, str]] = [{}, {"encoding": "raw"}, {"context": "independent"}, {"context": "none"}]
    runs = {
        " ".join(["ear", *change.values()]): world.settings(concept, "ear", **change) for change in changes
    }
    for name, settings in {**runs, "released": world.settings(concept, "released")}.items():
        with world.erased(concept, settings):
            facts[name] = world.measured(concept)
    return facts


def threshold_on_sum(world: World) -> Facts:
    """Row 4: with one μ for all W, what share of windows is stepped on, by their sum and by their mean?"""
    concept = "van-gogh"
    settings, own = world.settings(concept, "ear"), world.config.concepts[concept].window
    trainer = world.trainer(concept, settings)
    value = trainer.threshold(own)
    assert value is not None, "the method has a threshold"
    facts: Facts = {"concept": concept, "own W": own, "μ": value}
    looks: dict[ThresholdOn, float] = {"window-sum": value, "window-mean": value / own}
    for on, at in looks.items():
        trainer.variant = replace(settings.variant, threshold=on)
        trainer.settings = replace(settings, threshold=Threshold(value=at, quantile=None, factor=1.0))
        runs = {window: trainer.run(window, desc=on) for window in world.config.erasure.windows}
        facts[on] = {window: 1 - log["skipped"].mean() for window, log in runs.items()}
    trainer.restore()
    return facts


def released_pairing(image_ids: Sequence[int]) -> list[int]:
    """Row of the image that the release scores with each row's prompt: it sorts the files by name."""
    names = [f"COCO_val2014_{image_id:012d}.jpg" for image_id in image_ids]
    return sorted(range(len(names)), key=names.__getitem__)


def clip_pairing(world: World) -> Facts:
    """Row 6: what is left of a drop of the CLIP score when images meet other images' prompts?"""
    prompts = general_of(general_prompts(300, world.config.seed), "church", 300)
    ids = np.random.default_rng(0).choice(COCO_IDS, size=len(prompts), replace=False)
    order, texts = released_pairing(ids.tolist()), world.clip.encode_texts(list(prompts["prompt"]))

    def scores() -> Facts:
        images = world.clip.encode_images(world.pictures(world.draw(prompts)))
        paired = {"own prompt": images, "as released": images[order]}
        return {name: clip_scores((part * texts).sum(axis=1)).mean() for name, part in paired.items()}

    facts: Facts = {
        "images with their own prompt": sum(row == at for at, row in enumerate(order)),
        "original": scores(),
    }
    for method in ("ear", "released"):
        with world.erased("church", world.settings("church", method)):
            facts[f"{method}, church"] = scores()
    return facts


class Unmasked(Backbone):
    """A backbone that reads the padding of a batch as if it were part of the prompt."""

    def with_unconditional(self, tokens: Tokens) -> Tokens:
        rows = super().with_unconditional(tokens)
        return Tokens(rows.ids, torch.ones_like(rows.mask))


def unmasked_padding(world: World) -> Facts:
    """Row 7: what changes in an image that is drawn in a batch of four, its padding masked or not?"""
    prompts = world.grammar("church").retention(world.prompts.retention).head(200)
    unmasked = replace(world, backbone=Unmasked(world.backbone.model, world.backbone.processor))
    alone, texts = world.draw(prompts, batch_size=1), list(prompts["prompt"])
    batches = [texts[at : at + RELEASE_BATCH] for at in range(0, len(texts), RELEASE_BATCH)]
    masks = [world.backbone.encode(batch, "chat").mask for batch in batches]
    facts: Facts = {"padded images": float(np.mean([row[0] == 0 for mask in masks for row in mask.tolist()]))}
    for name, tokens in {
        "alone": alone,
        "batches of 4, masked": world.draw(prompts, batch_size=RELEASE_BATCH),
        "batches of 4, unmasked": unmasked.draw(prompts, batch_size=RELEASE_BATCH),
    }.items():
        changed = tokens != alone
        facts[name] = {
            "changed images": changed.any(dim=1).float().mean(),
            "changed tokens": changed.float().mean(),
            "right object": world.share(tokens, "object", prompts["object"].to_list()),
            "CLIP score": clip_scores(world.clip.cosines(world.pictures(tokens), texts)).mean(),
        }
    return facts


def softmax_again(probabilities: np.ndarray) -> np.ndarray:
    """What the release makes of an image's probabilities, (N, G): a softmax of them."""
    return np.exp(probabilities) / np.exp(probabilities).sum(axis=1, keepdims=True)


def second_softmax(world: World) -> Facts:
    """Row 8: what becomes of the style's score, and of the labels' ranks?"""
    concept = "van-gogh"
    judge, facts = world.judge(concept), Facts()
    targets = world.grammar(concept).target(world.prompts.target).head(100)

    def scores() -> Facts:
        prediction = world.classifier.predict(world.pictures(world.draw(targets)))
        column = list(prediction.groups[judge.group]).index(judge.label)
        once = prediction.probabilities(judge.group).astype(np.float64)
        twice = softmax_again(once)
        in_order = np.take_along_axis(twice, once.argsort(axis=1), axis=1)
        ranks_kept = bool((np.diff(in_order, axis=1) >= 0).all())
        ends = {
            name: [score[:, column].min(), score[:, column].mean(), score[:, column].max()]
            for name, score in (("probability", once), ("as released", twice))
        }
        return {"least, mean, greatest": ends, "ranks kept": ranks_kept}

    facts["original"] = scores()
    with world.erased(concept, world.settings(concept, "ear")):
        facts["ear"] = scores()
    return facts


def saved_as_jpeg(world: World) -> Facts:
    """Row 12: what does JPEG alone change in the measures of general images, drawn by the original?"""
    prompts = general_of(general_prompts(300, world.config.seed), "church", 300)
    images, texts = world.pictures(world.draw(prompts)), list(prompts["prompt"])
    extractor = Extractor("classifier", world.classifier.clean_fid_features)
    sides = {"as drawn": images, "as JPEG": through_jpeg(images)}
    features = {name: features_of(side, extractor) for name, side in sides.items()}
    pixels = [np.stack([np.asarray(image, dtype=float) for image in side]) for side in sides.values()]
    return {
        "grey levels apart, root mean square": np.sqrt(np.square(pixels[1] - pixels[0]).mean()),
        "CLIP score": {
            name: clip_scores(world.clip.cosines(side, texts)).mean() for name, side in sides.items()
        },
        "FID to the images as drawn": {
            "as JPEG": fid(features["as JPEG"], features["as drawn"]).value,
            "one half to the other": fid(*np.split(features["as drawn"][: len(images) // 2 * 2], 2)).value,
        },
    }


def cut_off_pixels(world: World) -> Facts:
    """Row 13: what changes in general images when their colours are cut off instead of rounded?"""
    prompts = general_of(general_prompts(300, world.config.seed), "church", 300)
    tokens, texts = world.draw(prompts), list(prompts["prompt"])
    cut = Backbone(world.backbone.model, world.backbone.processor, rounded=False)
    sides = {"rounded": world.pictures(tokens), "cut off": replace(world, backbone=cut).pictures(tokens)}
    pixels = [np.stack([np.asarray(image, dtype=float) for image in side]) for side in sides.values()]
    return {
        "grey levels darker": (pixels[0] - pixels[1]).mean(),
        "bytes that differ": (pixels[0] != pixels[1]).mean(),
        "CLIP score": {
            name: clip_scores(world.clip.cosines(side, texts)).mean() for name, side in sides.items()
        },
    }


EFFECTS: dict[str, Callable[[World], Facts]] = {
    "no-context": no_context,
    "independent-sequences": lambda world: {
        concept: independent_sequences(world, concept) for concept in world.config.concepts
    },
    "one-change": one_change,
    "threshold-on-sum": threshold_on_sum,
    "clip-pairing": clip_pairing,
    "unmasked-padding": unmasked_padding,
    "second-softmax": second_softmax,
    "saved-as-jpeg": saved_as_jpeg,
    "cut-off-pixels": cut_off_pixels,
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
    raw = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    catalogue = load_catalogue(ROOT / "assets.yaml")
    config = parse_config(raw, str(arguments.config), shapes_of(catalogue))
    if config.prompts is None:
        parser.error(f"{arguments.config}: found no prompts, wanted an experiment of the mini world")
    world = World(
        config,
        config.prompts,
        Backbone.load(str(ROOT / "models/mini-backbone"), "float32", "cpu"),
        Classifier.load(ROOT / "models/mini-classifier"),
        Clip.load(ROOT / "models/mini-clip"),
    )
    for name in arguments.effects or EFFECTS:
        plain = json.dumps({"effect": name, **EFFECTS[name](world)}, default=float)
        rounded = json.loads(plain, parse_float=lambda digits: float(f"{float(digits):.3g}"))
        print(json.dumps(rounded, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
