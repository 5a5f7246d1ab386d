"""Erasing concepts from unified autoregressive models (EAR), reproduced end to end.

The functions of this module erase a concept in Python and measure what is left; docs/tutorial.ipynb shows
them in use. The workflow runs the same code on tables and files. They import what they need when they are
called. Defaults are the paper's, for Janus-Pro.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ear.evaluation.statistics.intervals import Interval
    from ear.judges.base import Judge
    from ear.models.backbone import Backbone
    from ear.world.grammar import Grammar

__version__ = "0.2.0"

_AT_ONCE = 32
"""Images that are sampled at once; fewer where memory runs out."""


def load(
    reference: str | Path,
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
    rounded: bool = True,
    top_k: int | None = None,
    **drawing: Any,
) -> Backbone:
    """Load a model.

    Args:
        reference: a folder made by ``save_pretrained``, or a hub id ("deepseek-community/Janus-Pro-1B").
        dtype: "float32", "float64" or "bfloat16".
        device: "cpu" or "cuda".
        revision: commit of the hub repository.
        rounded: whether pixels are rounded; else their fraction is cut off, as in the authors' scripts.
        top_k: number of the likeliest image tokens that are drawn from; None: all of them.
        drawing: of an Emu3 model, ``image_size`` (pixels a side) and ``negative_prompt``.

    Raises:
        InputError: there is no whole model of a known family.
    """
    from ear.models.families import load_backbone

    return load_backbone(str(reference), dtype, device, revision, rounded, top_k, **drawing)


def make_pairs(words: str, count: int, seed: int = 42) -> list[tuple[str, str]]:
    """Pairs (unsafe prompt, safe prompt) by the mini world's grammar.

    Args:
        words: the concept as prompts name it: "church", "in the style of Van Gogh", "on fire", …
        count: number of pairs, at most 90.
        seed: of the choice of sentences.

    Raises:
        InputError: the mini world has no such concept, or fewer sentences.
    """
    table = _grammar(words, seed).pairs(count)
    return list(zip(table["unsafe_prompt"], table["safe_prompt"], strict=True))


def make_prompts(
    words: str, count: int, prompt_set: Literal["target", "implicit", "retention"] = "target", seed: int = 42
) -> dict[str, str]:
    """Evaluation prompts by the mini world's grammar, in no pair and in no training caption.

    Args:
        words: the concept, as in :func:`make_pairs`.
        count: number of prompts.
        prompt_set: "target" names the concept, "implicit" describes it, "retention" is about other objects.
        seed: of the choice of sentences.

    Returns:
        Prompt → the object that its image should show.

    Raises:
        InputError: the mini world has no such concept, or fewer sentences.
    """
    table = getattr(_grammar(words, seed), prompt_set)(count)
    return dict(zip(table["prompt"], table["object"], strict=True))


def _grammar(words: str, seed: int) -> Grammar:
    from ear.world.grammar import Grammar
    from ear.world.sentences import CONCEPTS, KINDS

    kind = next((kind for kind in KINDS if words in CONCEPTS[kind]), KINDS[0])
    return Grammar(words, kind, words, seed)


def sample(
    model: Backbone,
    prompts: Iterable[str],
    seeds: Iterable[int] | None = None,
    guidance: float = 5.0,
    temperature: float = 1.0,
    prefix: Tensor | None = None,
) -> Tensor:
    """Sample image tokens. They depend on the weights and on each image's prompt and seed alone.

    Args:
        model: the model.
        prompts: N texts.
        seeds: N seeds of the images' random numbers; none: 0 … N − 1.
        guidance: scale of classifier-free guidance, at least 1.
        temperature: softmax temperature; 0 takes the most likely token.
        prefix: (N, k) int64, the first k tokens of each image where they are given (the prefix attack).

    Returns:
        (N, T) int64.

    Raises:
        InputError: a prompt is too long, or logits are not finite.
        ValueError: there are more or fewer seeds or prefixes than prompts.
    """
    import torch

    from ear.images.batching import BatchSize
    from ear.images.sampling import Guidance, sample_prompts

    texts = list(prompts)
    begun = torch.zeros(len(texts), 0, dtype=torch.int64) if prefix is None else prefix
    images = list(zip(texts, range(len(texts)) if seeds is None else seeds, begun, strict=True))

    def sampled(part: Sequence[tuple[str, int, Tensor]]) -> Tensor:
        texts, seeds, begun = zip(*part, strict=True)
        given = torch.stack(begun)
        return sample_prompts(model, texts, seeds, "chat", Guidance(guidance), temperature, given).cpu()

    return torch.cat(list(BatchSize(_AT_ONCE).each(images, sampled)))


def decode(model: Backbone, tokens: Tensor) -> list[Image]:
    """Decode image tokens, (N, T) int64, to N RGB images."""
    from PIL import Image

    return [Image.fromarray(pixels) for pixels in model.pixels(tokens.to(model.device))]


def render(
    model: Backbone,
    prompts: Iterable[str],
    seeds: Iterable[int] | None = None,
    guidance: float = 5.0,
    temperature: float = 1.0,
    prefix: Tensor | None = None,
) -> list[Image]:
    """Sample image tokens and decode them: see :func:`sample` and :func:`decode`."""
    return decode(model, sample(model, prompts, seeds, guidance, temperature, prefix))


def erase(
    model: Backbone,
    pairs: Iterable[tuple[str, str]],
    variant: str = "ear",
    window: int = 48,
    layers: int = 5,
    eta: float = 1.0,
    learning_rate: float = 1e-4,
    passes: int = 1,
    threshold: float = 0.05,
    seed: int = 0,
    guidance: float = 5.0,
    temperature: float = 1.0,
) -> dict[str, Tensor]:
    """Fine-tune a model until it no longer draws a concept. The model itself is left as it was.

    Args:
        model: the model.
        pairs: (unsafe prompt, safe prompt): the first names the concept, the second does not.
        variant: a key of ``ear.erasure.variants.VARIANTS``, where what follows is defined.
        window: W, image tokens whose losses make one optimiser step, where the variant has no W of its own.
        layers: K, decoder layers whose attention is trained, from the first.
        eta: η, how far states are pushed away from those of the unsafe prompt.
        learning_rate: of Adam.
        passes: passes over the pairs.
        threshold: μ; windows whose loss is not above it are skipped, where the variant has a threshold.
        seed: of the sampled images and of the order of the pairs.
        guidance: scale of classifier-free guidance of the sampled images.
        temperature: their temperature.

    Returns:
        Name of a module of the language model → its new weight, for :func:`edited` and :func:`export`.

    Raises:
        InputError: there is no such variant, the model has fewer image tokens or layers, or the training
            diverged.
    """
    from ear.erasure.sequences import sample_sequences
    from ear.erasure.trainer import Trainer
    from ear.erasure.variants import VARIANTS, Settings, Threshold
    from ear.errors import InputError

    if variant not in VARIANTS:
        raise InputError(f"variant: found {variant!r}, wanted one of {', '.join(VARIANTS)}")
    depth = model.model.config.get_text_config().num_hidden_layers
    for name, found, most in (("window", window, model.num_image_tokens), ("layers", layers, depth)):
        if not 1 <= found <= most:
            raise InputError(f"{name}: found {found}, wanted 1 to {most}")
    chosen = VARIANTS[variant].with_window(window, model.num_image_tokens)
    bound = None if chosen.threshold == "off" else Threshold(threshold, quantile=None, factor=1.0)
    settings = Settings(chosen, layers, eta, learning_rate, "adam", passes, bound, micro_batch=128)
    settings = settings.without_anchors()
    chosen, window = settings.variant, cast(int, chosen.window)
    numbered = [(f"{number:04d}", *pair) for number, pair in enumerate(pairs)]
    sampling = (chosen.context, chosen.encoding, seed, guidance, temperature, _AT_ONCE)
    trainer = Trainer(model, numbered, sample_sequences(model, numbered, *sampling), settings, seed)
    try:
        trainer.run(window, desc="erasing")
        return trainer.weights()
    finally:
        trainer.restore()


def edited(model: Backbone, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    """The model has these weights, by module name, inside of the block, and its own after it.

    Raises:
        InputError: a weight is of no linear layer of the language model, or of another shape or dtype.
    """
    from ear.erasure.edited_weights import check_weights, edited

    check_weights("weights", weights, model)
    return edited(model, weights)


def load_judge(
    folder: str | Path, *, by: str, device: str = "cpu", calibration: str = "", **settings: Any
) -> Judge:
    """Load the judge of a concept.

    Args:
        folder: of the judge's model.
        by: kind of judge, "classifier", "artist", "nudenet", "q16" or "zero-shot".
        device: "cpu" or "cuda".
        calibration: a zero-shot judge's file; of Q16, its prompts.p.
        settings: other keys of this kind of judge, as in the config (docs/reference/config.md); a
            classifier's are label, group ("" where its labels have none) and top_k.

    Raises:
        InputError: the folder does not hold the judge's model.
    """
    from ear.judges.loading import load_judge

    return load_judge({"by": by, "group": "", "top_k": 1} | settings, Path(folder), device, calibration)


def judge(images: Sequence[Image], by: Judge, objects: Iterable[str] | None = None) -> list[bool]:
    """Whether each of N images shows the judge's concept or, given N objects, its own object (retention).

    Raises:
        InputError: the judge knows no objects.
    """
    from ear.errors import InputError

    verdicts = by.judge(images)
    if objects is None:
        return verdicts.shown.tolist()
    if verdicts.objects is None:
        raise InputError(f"judge {by.protocol}: found no objects, wanted a classifier with labels of objects")
    return [seen == wanted for seen, wanted in zip(verdicts.objects, objects, strict=True)]


def rate(shown: Collection[bool]) -> Interval:
    """Share of images that count, with Wilson's 95 % interval: (value, low, high, n)."""
    from ear.evaluation.statistics.intervals import wilson

    return wilson(sum(shown), len(shown))


def export(
    model: Backbone,
    weights: Mapping[str, Tensor],
    folder: str | Path,
    words: str,
    prompt: str,
    guidance: float = 5.0,
    temperature: float = 1.0,
) -> None:
    """Write the model with edited weights as a folder of transformers, with a short model card.

    Args:
        model: the model that was erased.
        weights: what :func:`erase` returned.
        folder: of the new model; what is there is replaced.
        words: what was erased.
        prompt: of the card's sample code.
        guidance: of the sample code, more than 1.
        temperature: of the sample code.

    Raises:
        InputError: the weights do not fit, or transformers cannot draw with the guidance.
    """
    from ear.commands.export import write_model
    from ear.commands.model_card import short_card
    from ear.erasure.edited_weights import backbone_facts, check_weights

    check_weights("weights", weights, model)
    subject = {"words": words, "prompt": prompt, "guidance": guidance, "temperature": temperature}
    subject["family"] = model.family
    write_model(folder, model, weights, guidance, short_card(backbone_facts(model), weights, subject))
