"""Checks across the keys of a config. Each raises a ValueError: key, what is wrong, what is valid."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ear.config.concepts import Concept
from ear.config.experiment import Config
from ear.config.methods import BOUND, IMAGES, NEGATIVE_PROMPT, NONE, PUBLISHED, STABLE_DIFFUSION, Method
from ear.config.paths import Paths
from ear.erasure.variants import MIXED, VARIANTS
from ear.judges.imagenet import imagenet_labels
from ear.models.catalogue import Shape
from ear.models.chat_format import DESCRIBE, LOOKS_SPECIAL, SPECIAL_TOKENS
from ear.prompts.minors import UNSAFE, speaks_of_minors
from ear.prompts.naming import fold, named
from ear.workflow.seeding import GRAMMAR, ORIGINAL
from ear.workflow.texts import text_fault
from ear.world.drawing import SIZE
from ear.world.scenes import GROUPS
from ear.world.sentences import CONCEPTS

DRAWN = "with world: drawn"
JANUS, EMU3 = "janus", "emu3"
PUBLIC = ("public", "retention")  # prompts of other studies
MADE = ("implicit", "neighbours")  # prompts that the mini world's grammar makes, and else the concept lists
POSSIBLE = "; ".join(f"{kind} {', '.join(names)}" for kind, names in CONCEPTS.items())
SHOWN = 12  # labels listed where none is near


def check(config: Config) -> None:
    """Check what no key can tell by itself.

    Raises:
        ValueError: the first thing that is wrong.
    """
    shape = config.shape
    _check_assets(config)
    _check_prompts(config)
    (_check_drawn if config.world else _check_photographs)(config, shape)
    _check_texts(config)
    _check_labels(config)
    _check_methods(config)
    _check_family(config, shape)
    _check_numbers(config, shape)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that somebody may have meant; None where none is near."""
    return next(iter(get_close_matches(word, known, n=1)), None)


def _wrong(key: str, found: object, wanted: str) -> ValueError:
    return ValueError(f"{key}: found {found}, wanted {wanted}")


def _required(key: str, why: str) -> ValueError:
    return ValueError(f"{key} is required {why}; add it (docs/reference/config.md describes it)")


def _refused(key: str, why: str, remedy: str = "remove it") -> ValueError:
    return ValueError(f"{key} is not allowed {why}; {remedy}")


def _check_assets(config: Config) -> None:
    """The root of the assets is another folder than the one in the results that gets links to them."""
    links = Path(Paths(config.experiment)("models"))
    if config.assets.root is not None and Path(config.assets.root).resolve() == links.resolve():
        raise _wrong("assets.root", config.assets.root, "another folder: this one gets links to the assets")


def _check_prompts(config: Config) -> None:
    """Every concept has a source of prompts."""
    if config.own_prompts and config.prompts is None:
        raise _required("prompts", f"because {config.own_prompts[0]} has no published prompts")
    if config.prompts and not config.own_prompts and not config.world:
        raise _refused("prompts", "because all concepts have published prompts")


def _check_drawn(config: Config, shape: Shape) -> None:
    """Nothing is asked of the mini world that it cannot do."""
    if shape.image_size != SIZE:
        found = f"{config.backbone.asset}, whose images have {shape.image_size} pixels a side"
        raise _wrong("backbone.asset", found, f"one with images of {SIZE} pixels {DRAWN}")
    if config.assets.stand_ins:
        raise _refused("assets.stand_ins", f"{DRAWN}, whose models are in this repository")
    if config.utility.features != "classifier":
        raise _wrong("utility.features", config.utility.features, f"classifier {DRAWN}")
    if config.utility.question != DESCRIBE:
        wanted = f"{DESCRIBE!r} {DRAWN}: its model is trained on no other"
        raise _wrong("utility.question", repr(config.utility.question), wanted)
    for name, method in config.methods.items():
        if method.needs_assets:
            raise _refused(f"methods.{name}", f"{DRAWN}, because variant {method.variant} needs downloads")
    for name, concept in config.concepts.items():
        key = f"concepts.{name}"
        for own in ("published", *PUBLIC):
            if getattr(concept, own):
                raise _refused(f"{key}.{own}", DRAWN)
        for which, judge in concept.judges.items():
            if judge.by != "zero-shot" and not getattr(judge, "group", ""):
                raise _wrong(
                    f"{key}.{which}.by", judge.by, f"classifier, with a group, or zero-shot, {DRAWN}"
                )
        kinds = [kind for kind, names in CONCEPTS.items() if concept.words in names]
        if concept.kind == UNSAFE:
            raise _wrong(f"{key}.kind", UNSAFE, f"object, style or attribute {DRAWN}")
        if not kinds:
            wanted = f"what the mini world can draw and erase: {POSSIBLE}"
            raise _wrong(f"{key}.words", repr(concept.words), wanted)
        if concept.kind not in kinds:
            raise _wrong(f"{key}.kind", concept.kind, f"{kinds[0]} for {concept.words!r}")
        for own in MADE:
            if getattr(concept, own):
                raise _refused(f"{key}.{own}", f"{DRAWN}, where axes.{own} makes such prompts")


def _check_photographs(config: Config, shape: Shape) -> None:
    """Nothing is asked of photographs that only the mini world can do."""
    elsewhere = "without world: drawn"
    if config.prompts and (grammars := config.prompts.by(GRAMMAR)):
        wanted = f"chat or transformers {elsewhere}"
        raise _wrong(f"prompts.sources.{grammars[0]}.by", GRAMMAR, wanted)
    for name, concept in config.concepts.items():
        for which, judge in concept.judges.items():
            if getattr(judge, "group", ""):
                raise _refused(f"concepts.{name}.{which}.group", elsewhere)
        for own in PUBLIC:
            if getattr(concept, own) and not concept.published:
                raise _refused(f"concepts.{name}.{own}", "without published prompts")
        if concept.retention and not hasattr(concept.judge, "label"):
            why = f"because its judge, {concept.judge.by}, has no labels"
            raise _refused(f"concepts.{name}.retention", why)
    for key in MADE:
        if getattr(config.axes, key):
            raise _refused(f"axes.{key}", f"{elsewhere}, where concepts.<concept>.{key} lists such prompts")


def _check_texts(config: Config) -> None:
    """Texts are plain, names differ, what stands for them holds none, nothing unsafe speaks of minors."""
    _check_text("utility.question", config.utility.question)
    names: dict[str, str] = {}
    for name, concept in config.concepts.items():
        for key, text in _texts(f"concepts.{name}", concept):
            _check_text(key, text)
            if concept.kind == UNSAFE and speaks_of_minors(text):
                raise _wrong(key, "a text that speaks of minors", f"none with kind: {UNSAFE}")
        for key in ("implicit", "anchors"):
            for row, text in enumerate(getattr(concept, key)):
                if found := named(text, concept.names):
                    raise _wrong(f"concepts.{name}.{key}[{row}]", repr(found[0]), "none of its names")
        for word in map(fold, concept.names):
            if (other := names.setdefault(word, name)) != name:
                raise _wrong(f"concepts.{name}", f"{word!r}, a name of {other}", "other names")


def _check_text(key: str, text: str) -> None:
    if fault := text_fault(text):
        raise _wrong(key, fault, "text")
    special = next((token for token in SPECIAL_TOKENS if token in text), None)
    if found := special or next(iter(LOOKS_SPECIAL.findall(text)), None):
        raise _wrong(key, f"{found}, which reads like a special token", "plain text")


def _texts(key: str, concept: Concept) -> Iterator[tuple[str, str]]:
    """(key, text) of all that a prompt or a question may be made of."""
    yield f"{key}.words", concept.words
    for label, text in concept.neighbours.items():
        yield f"{key}.neighbours.{label}", text
    lists: dict[str, Sequence[str]] = {
        name: getattr(concept, name) for name in ("also_named", "implicit", "anchors")
    }
    for which, judge in concept.judges.items():
        lists |= {f"{which}.{side}": getattr(judge, side, None) or () for side in ("positive", "negative")}
    for name, texts in lists.items():
        for place, text in enumerate(texts):
            yield f"{key}.{name}[{place}]", text


def _check_labels(config: Config) -> None:
    """Labels are those of the judge's classifier, where it is known before anything is fetched."""
    for name, concept in config.concepts.items():
        for which, judge in concept.judges.items():
            if judge.by != "classifier":
                continue
            labels = GROUPS[judge.group] if judge.group else imagenet_labels()
            wanted = {f"{which}.label": judge.label}
            if which == "judge":
                wanted |= {f"neighbours.{label}": label for label in concept.neighbours}
                known = concept.retention.labels if concept.retention else {}
                wanted |= {f"retention.labels.{name}": label for name, label in known.items()}
            for key, label in wanted.items():
                if label not in labels:
                    near = nearest(label, labels)
                    some = f"one of {', '.join(labels[:SHOWN])}{', …' * (len(labels) > SHOWN)}"
                    said = f"a label of the judge, as {near!r}" if near else some
                    raise _wrong(f"concepts.{name}.{key}", repr(label), said)
            if judge.top_k > len(labels):
                wanted_k = f"at most {len(labels)}, its labels"
                raise _wrong(f"concepts.{name}.{which}.top_k", judge.top_k, wanted_k)


def _check_methods(config: Config) -> None:
    """There is an original; every method agrees with its name, its variant and the concepts."""
    if config.methods.get(ORIGINAL) is None or config.methods[ORIGINAL].variant != NONE:
        raise _required(f"methods.{ORIGINAL}", "with variant: none, because all methods are compared with it")
    for name, method in config.methods.items():
        if name != ORIGINAL and method.variant == NONE:
            raise _wrong(f"methods.{name}.variant", NONE, f"one of {', '.join(VARIANTS)}")
        _check_method(f"methods.{name}", name, method)
        for key, among in (("concepts", method.concepts), ("erase", method.erase)):
            if unknown := sorted(set(among or ()) - set(config.concepts)):
                raise _wrong(f"methods.{name}.{key}", unknown[0], f"some of {', '.join(config.concepts)}")
        if method.erase:
            _check_joint(config, f"methods.{name}", method, method.erase)
        if method.weights is not None:
            concerned = [concept for concept in config.concepts if method.concerns(concept)]
            if missing := [concept for concept in concerned if concept not in method.weights]:
                raise _required(f"methods.{name}.weights.{missing[0]}", "as a pattern of the file's name")
    shown = config.evaluation.shown_method
    of_all = [name for name, one in config.methods.items() if all(map(one.concerns, config.concepts))]
    if shown not in of_all or shown == ORIGINAL:
        possible = ", ".join(name for name in of_all if name != ORIGINAL)
        raise _wrong("evaluation.shown_method", shown, f"one of {possible}")


def _check_method(key: str, name: str, method: Method) -> None:
    """A method agrees with its name and its variant."""
    variant = method.variant
    if name in (NEGATIVE_PROMPT, PUBLISHED, STABLE_DIFFUSION, IMAGES, *VARIANTS):
        if variant != name:
            raise _wrong(f"{key}.variant", variant, f"{name}, or another name for the method")
        if changed := sorted(BOUND & set(method.overrides)):
            why = f"because variant {name} would then be another"
            raise _refused(f"{key}.overrides.{changed[0]}", why, "give the method another name")
    for own, owner, what in (
        ("strength", NEGATIVE_PROMPT, "a number"),
        ("weights", PUBLISHED, "a pattern for each concept"),
        ("diffusion", STABLE_DIFFUSION, "guidance, steps and size"),
        ("images", IMAGES, "a folder"),
    ):
        value = getattr(method, own)
        if (variant == owner) != (value is not None):
            if value is None:
                raise _required(f"{key}.{own}", f"({what}) with variant {variant}")
            raise _refused(f"{key}.{own}", f"with variant {variant}")
    if method.sequential and not method.erase:
        raise _refused(f"{key}.sequential", "without erase")
    if method.trains:
        _check_variant(f"{key}.overrides", method)
    elif given := [own for own in ("erase", "sweep", "overrides") if getattr(method, own)]:
        raise _refused(f"{key}.{given[0]}", f"because variant {variant} trains nothing")


def _check_variant(key: str, method: Method) -> None:
    """Objectives other than the paper's have one context and read the conditional row alone."""
    variant, mixed = method.own_variant, method.own_variant.context in MIXED
    objective = f"with objective {variant.objective}"
    contexts = {"mse": ("none", "independent", "aligned"), "redirect": MIXED}
    allowed = contexts.get(variant.objective, ("aligned",))
    if variant.context not in allowed:
        raise _wrong(f"{key}.context", variant.context, f"{' or '.join(allowed)} {objective}")
    if variant.objective != "mse" and variant.rows != "conditional":
        raise _wrong(f"{key}.rows", variant.rows, f"conditional {objective}")
    for own in ("cuts", "retain"):
        if getattr(variant, own) and not mixed:
            raise _refused(f"{key}.{own}", f"with context {variant.context}")
    if mixed and not variant.cuts:
        raise _required(f"{key}.cuts", f"with context {variant.context}")


def _check_family(config: Config, shape: Shape) -> None:
    """Nothing is asked of a family of models that it cannot do, or that is another family's own."""
    if shape.family != JANUS:
        whose = f"with backbone.asset {config.backbone.asset}, because it is the Janus release's own"
        for name, method in config.methods.items():
            variant = method.own_variant if method.trains else None
            released = variant and (variant.context == "none" or variant.encoding == "raw")
            if released or method.variant == PUBLISHED:
                raise _refused(f"methods.{name}.variant: {method.variant}", whose, "remove the method")
    if shape.family != EMU3 and config.backbone.negative_prompt is not None:
        raise _refused("backbone.negative_prompt", f"with backbone.asset {config.backbone.asset}")
    if shape.sees == (config.utility.captions == 0):
        wanted = "1 or more" if shape.sees else "0, because the model does not see"
        raise _wrong("utility.captions", config.utility.captions, wanted)
    if config.axes.questions and not shape.sees:
        raise _refused("axes.questions", "because the model does not see", "set it to false")


def _check_joint(config: Config, key: str, method: Method, erased: Sequence[str]) -> None:
    """Concepts erased together are each named once, and agree on a window unless the method has its own."""
    if len(set(erased)) < len(erased):
        raise _wrong(f"{key}.erase", ", ".join(erased), "each concept once")
    if method.concepts is not None:
        raise _refused(f"{key}.concepts", "beside erase")
    windows = {concept: config.concepts[concept].window for concept in erased}
    if method.own_variant.window is None and len(set(windows.values())) > 1:
        listed = ", ".join(f"{window} of {concept}" for concept, window in windows.items())
        raise _required(f"{key}.overrides.window", f"because the concepts' windows differ ({listed})")


def _check_numbers(config: Config, shape: Shape) -> None:
    """Windows fit an image, layers the backbone, and the prompts of the ablation those that there are."""
    if len(set(config.seeds)) < len(config.seeds):
        raise _wrong("seeds", config.seeds, "each seed once")
    shown = config.evaluation.window_prompts
    if config.world and config.prompts and shown > config.prompts.target:
        raise _wrong("evaluation.window_prompts", shown, f"at most prompts.target = {config.prompts.target}")
    if inversion := config.axes.inversion:
        for name, concept in config.concepts.items():
            found, own = concept.published, config.prompts
            targets = (found.target_used or found.target_rows) if found else own.target if own else 0
            if inversion.images >= targets:
                wanted = f"fewer than the {targets} target prompts of {name}, the rest of which are rendered"
                raise _wrong("axes.inversion.images", inversion.images, wanted)
    windows: dict[str, Any] = {f"concepts.{name}.window": one.window for name, one in config.concepts.items()}
    windows |= {f"erasure.windows[{place}]": one for place, one in enumerate(config.erasure.windows)}
    layers: dict[str, Any] = {"erasure.layers": config.erasure.layers}
    prefixes = {f"axes.prefixes[{place}]": one for place, one in enumerate(config.axes.prefixes)}
    for name, method in config.methods.items():
        windows[f"methods.{name}.overrides.window"] = method.overrides.get("window", "image")
        layers[f"methods.{name}.overrides.layers"] = method.overrides.get("layers", 1)
    for values, most, of in (
        (windows, shape.image_tokens, "the tokens of an image"),
        (layers, shape.layers, "the backbone's layers"),
        (prefixes, shape.image_tokens - 1, "which leaves a token to be sampled"),
    ):
        for key, value in values.items():
            if value != "image" and value > most:
                raise _wrong(key, value, f"at most {most}, {of}")
