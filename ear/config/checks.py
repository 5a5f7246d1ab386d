"""Checks across the keys of a config. Each raises a ValueError: key, what was found, what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ear.chat import DESCRIBE
from ear.config.erasure import NONE
from ear.config.world_concepts import check_world_concepts
from ear.erasure.presets import VARIANTS
from ear.names import GRAMMAR, ORIGINAL
from ear.prompts.naming import named
from ear.world.canvas import SIZE

if TYPE_CHECKING:
    from ear.config.erasure import Method
    from ear.config.models import Config, Shape


DRAWN = "with world: drawn"


def check_sources(config: Config, shapes: Mapping[str, Shape]) -> None:
    """Every key fits the pictures that the experiment is about: drawn ones, or photographs."""
    if config.backbone.asset not in shapes:
        raise ValueError(
            f"backbone.asset: found {config.backbone.asset}, "
            f"wanted an asset with a shape: {', '.join(shapes) or 'none is listed'}"
        )
    if config.world and (size := shapes[config.backbone.asset].image_size) != SIZE:
        raise ValueError(
            f"backbone.asset: found {config.backbone.asset}, whose images have {size} pixels a side, "
            f"wanted one of {SIZE} {DRAWN}"
        )
    if config.world and config.assets.stand_ins:
        raise ValueError(f"assets.stand_ins: found some, wanted none {DRAWN}: its models are here")
    _check_prompts(config)
    for name, concept in config.concepts.items():
        if config.world and concept.kind == "unsafe":
            raise ValueError(f"concepts.{name}.kind: found unsafe, wanted object, style or attribute {DRAWN}")
        for which, judge in concept.judges.items():
            in_group = judge.by == "classifier" and judge.group
            if config.world and not (in_group or judge.by == "zero-shot"):
                raise ValueError(
                    f"concepts.{name}.{which}: wanted by: classifier, with a group, or zero-shot, {DRAWN}"
                )
            if not config.world and in_group:
                raise ValueError(f"concepts.{name}.{which}.group: found {in_group}, wanted it {DRAWN} only")
    check_world_concepts(config)
    if config.world and config.utility.features != "classifier":
        raise ValueError(f"utility.features: found {config.utility.features}, wanted classifier {DRAWN}")
    if config.world and config.utility.question != DESCRIBE:
        raise ValueError(
            f"utility.question: found {config.utility.question!r}, wanted {DESCRIBE!r} {DRAWN}: "
            "its model is trained on no other"
        )


def _check_prompts(config: Config) -> None:
    """Every concept has a source of prompts, and what the mini world cannot do is not asked of it."""
    published = [name for name in config.concepts if name not in config.own_prompts]
    if config.world and published:
        raise ValueError(f"concepts.{published[0]}.published: found one, wanted none {DRAWN}")
    if config.own_prompts and config.prompts is None:
        raise ValueError(
            f"prompts: found none, wanted it: no published prompts for {', '.join(config.own_prompts)}"
        )
    if config.prompts and not config.own_prompts:
        raise ValueError("prompts: found one, wanted none: all concepts have published prompts")
    if not config.world and config.prompts and (grammars := config.prompts.by(GRAMMAR)):
        raise ValueError(f"prompts.sources.{grammars[0]}.by: found {GRAMMAR}, wanted it {DRAWN} only")


def check_axes(config: Config) -> None:
    """Implicit prompts hold no word of their concept, and beginnings leave something to be drawn."""
    for name, concept in config.concepts.items():
        for row, text in enumerate(concept.implicit):
            if found := named(text, [concept.words, *concept.also_named]):
                raise ValueError(f"concepts.{name}.implicit[{row}]: found {found[0]!r}, wanted no word of it")
        for key in ("implicit", "neighbours"):
            if config.world and getattr(concept, key):
                raise ValueError(
                    f"concepts.{name}.{key}: found some, wanted none {DRAWN}: axes.{key} makes them"
                )
    for key in ("implicit", "neighbours"):
        if not config.world and getattr(config.axes, key):
            raise ValueError(f"axes.{key}: found {getattr(config.axes, key)}, wanted it {DRAWN} only")
    for place, given in enumerate(config.axes.prefixes):
        if given >= config.image_tokens:
            raise ValueError(
                f"axes.prefixes[{place}]: found {given}, wanted less than {config.image_tokens}, "
                "the tokens of an image"
            )


def check_methods(config: Config) -> None:
    """There is an original; every method agrees with its name, its variant and the concepts."""
    if config.methods.get(ORIGINAL) is None or config.methods[ORIGINAL].variant != NONE:
        raise ValueError(
            f"methods: found no {ORIGINAL} with variant none, wanted it: all others are compared with it"
        )
    for name, method in config.methods.items():
        if name != ORIGINAL and method.variant == NONE:
            raise ValueError(f"methods.{name}.variant: found none, wanted one of {', '.join(VARIANTS)}")
        method.check(name)
        if method.needs_assets and config.world:
            raise ValueError(f"methods.{name}.variant: found {method.variant}, wanted none {DRAWN}")
        for key, among in (("concepts", method.concepts), ("erase", method.erase)):
            if unknown := sorted(set(among or ()) - set(config.concepts)):
                raise ValueError(
                    f"methods.{name}.{key}: found {unknown[0]}, wanted some of {', '.join(config.concepts)}"
                )
        if method.erase:
            _check_together(config, name, method)
        if method.weights is not None and (
            missing := [one for one in config.concepts if method.concerns(one) and one not in method.weights]
        ):
            raise ValueError(f"methods.{name}.weights: found none for {missing[0]}, wanted a pattern for it")
    shown = config.evaluation.shown_method
    wanted = [
        name for name in config.erasing_methods if all(map(config.methods[name].concerns, config.concepts))
    ]
    if shown not in wanted:
        raise ValueError(f"evaluation.shown_method: found {shown}, wanted one of {', '.join(wanted)}")


def _check_together(config: Config, name: str, method: Method) -> None:
    """Concepts of one adapter are each named once, and agree on a window unless the method has its own."""
    assert method.erase, "of methods that erase concepts together"
    if len(set(method.erase)) < len(method.erase):
        raise ValueError(f"methods.{name}.erase: found {', '.join(method.erase)}, wanted each concept once")
    if method.concepts is not None:
        raise ValueError(f"methods.{name}.concepts: found some, wanted none beside erase")
    windows = {concept: config.concepts[concept].window for concept in method.erase}
    if method.own_window is None and len(set(windows.values())) > 1:
        found = ", ".join(f"{window} of {concept}" for concept, window in windows.items())
        raise ValueError(
            f"methods.{name}.choices.window: found none and the windows {found}, wanted one for all of them"
        )


def check_numbers(config: Config) -> None:
    """Windows fit an image, layers the backbone, and the prompts of the ablation those that there are."""
    if len(set(config.seeds)) < len(config.seeds):
        raise ValueError(f"seeds: found {config.seeds}, wanted each seed once")
    if config.world and config.prompts and config.evaluation.window_prompts > config.prompts.target:
        raise ValueError(
            f"evaluation.window_prompts: found {config.evaluation.window_prompts}, "
            f"wanted at most prompts.target = {config.prompts.target}"
        )
    windows = {f"concepts.{name}.window": concept.window for name, concept in config.concepts.items()}
    windows |= {f"erasure.windows[{place}]": window for place, window in enumerate(config.erasure.windows)}
    layers = {"erasure.layers": config.erasure.layers}
    for name, method in config.methods.items():
        if isinstance(window := method.choices.get("window"), int):
            windows[f"methods.{name}.choices.window"] = window
        if isinstance(chosen := method.choices.get("layers"), int):
            layers[f"methods.{name}.choices.layers"] = chosen
    for key, window in windows.items():
        if window > config.image_tokens:
            raise ValueError(
                f"{key}: found {window}, wanted at most {config.image_tokens}, the tokens of an image"
            )
    for key, count in layers.items():
        if count > config.layers:
            raise ValueError(f"{key}: found {count}, wanted at most {config.layers}, the backbone's layers")
