"""The work of an experiment, job by job, of the rules that take time, and its stated times on one H100.

A roofline says how long the fastest program would take: as long as reading what has to be read, or as long as
computing what has to be computed, whichever is more. Real programs reach a part of that; how large a part is
stated here. Measured times of finished jobs take the place of stated ones (plan.estimate).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import ceil
from typing import cast

from ear.config import Config
from ear.config.experiment import Run
from ear.erasure.variants import JOINT, SEQUENCE_NAMES, Context, Settings
from ear.evaluation.attacks import CANDIDATES, SEARCHES
from ear.judges.base import ON_CPU
from ear.models.chat_format import CAPTION_TOKENS
from ear.models.memory import DECODERS, Dimensions, padded_columns, padded_images
from ear.prompts.tables import FRAMES
from ear.workflow.seeding import ORIGINAL
from ear.world.grammar import shared_count
from ear.world.sentences import is_described

BANDWIDTH, PEAK = 0.6 * 3.35e12, 0.4 * 990e12
"""Bytes/s and FLOP/s that are reached: parts of the bandwidth and bfloat16 peak of an H100's data sheet."""
STEP_S = 1e-3
"""What surrounds a sampled token in a CUDA graph: drawing from the distribution, the mask, the launch."""
LAUNCH_S = 0.8e-3
"""A decoder layer outside of a CUDA graph, bound by kernel launches: 24 ms for 30 layers."""
LORA_LAUNCHES = 1.9
"""Of a layer with low-rank factors, for one of a layer without; measured on a tiny model on a CPU."""
BACKWARD = 2
"""A backward pass, in forward passes."""
UNET_FLOP = 0.80e12
"""Of decoding an image of 384 pixels a side; of a step of Stable Diffusion v1.4, of 512 a side. Counted."""
VERDICT_S, NUDENET_S = 0.03, 0.08
"""A verdict, bound by opening a PNG on one CPU thread; NudeNet's own, likewise."""
FEATURE_S, DISTANCE_S = 0.02, 0.004
"""Features or a CLIP score of a picture, and its share of FID, KID and diversity, on one CPU thread."""
START_S, COMPILE_S, LOAD_BANDWIDTH = 20.0, 60.0, 0.2e9
"""Imports; compiling the decoding step for two shapes; bytes/s of loading weights and hashing them."""

PROMPT = 40
"""Tokens of a prompt in the chat template. Up to 65 take no wider a cache; two in five of Six-CD take one."""
CAPTION_BATCH = 50
"""Pictures described at once."""

COCO_PICTURES = 40_504
"""Of val2014."""
WITHOUT_BACKBONE = frozenset(("render_diffusion", "extract_features", "measure_images", "evaluate"))
"""Rules whose jobs load no backbone."""


@dataclass(frozen=True)
class Work:
    """Equal units of one kind: what is counted, how many, and seconds of all of them."""

    unit: str
    count: int
    seconds: float


class Speed:
    """How long work takes on one H100.

    Args:
        shape: the backbone's.
        batch_size: images or token sequences sampled at once.
    """

    def __init__(self, shape: Dimensions, batch_size: int) -> None:
        self.shape, self.batch_size = shape, batch_size
        self.width = padded_columns(PROMPT, shape.image_columns)

    def start(self) -> float:
        """Seconds before a job that loads the backbone begins its work."""
        return START_S + self.shape.loaded_bytes / LOAD_BANDWIDTH + COMPILE_S

    def images(self, count: int, rows: int = 2, unit: str = "images", at_once: int = 0) -> Work:
        """Images sampled, ``at_once`` of them or all: each step reads the weights and the whole cache."""
        at_once = at_once or max(1, count)
        lanes = rows * padded_images(min(self.batch_size, at_once))
        read = self.shape.weight_bytes + lanes * self.width * self.shape.cached_bytes
        step = _roofline(read, 2 * lanes * self.shape.parameters) + STEP_S
        batches = count / at_once * ceil(at_once / self.batch_size)
        pixels = _roofline(0, count * DECODERS[self.shape.family].operations * self.shape.image_size**2)
        return Work(unit, count, batches * self.shape.image_tokens * step + pixels)

    def captions(self, count: int) -> Work:
        """Pictures described: read, then a forward pass for each word of a batch."""
        steps = ceil(count / CAPTION_BATCH) * CAPTION_TOKENS
        return Work("captions", count, self.passed(images=count) + steps * self.passed(CAPTION_BATCH))

    def windows(
        self, count: int, length: int, rows: int, micro_batch: int, context: bool = True, lora: bool = False
    ) -> Work:
        """Windows of a fine-tuning: what lies before one is read, then its micro-batches with a gradient."""
        passed = partial(self.passed, launches=LORA_LAUNCHES if lora else 1.0)
        parts = ceil(length / micro_batch)
        passes = 1 + BACKWARD + (parts > 1)  # of several parts, all are read without a gradient first
        read = rows * (PROMPT + self.shape.image_tokens // 2) * (context and length < self.shape.image_tokens)
        window = passed(read) + parts * passes * passed(rows * min(length, micro_batch))
        return Work("windows", count, count * window)

    def diffused(self, count: int, steps: int, size: int) -> Work:
        """Images by Stable Diffusion, two guidance rows a step."""
        return Work("images", count, _roofline(0, count * 2 * steps * UNET_FLOP * (size / 512) ** 2))

    def passed(self, tokens: int = 0, images: int = 0, launches: float = 1.0) -> float:
        """Seconds of a forward pass over tokens and over prompts with their images, without a CUDA graph."""
        tokens += images * (PROMPT + self.shape.image_tokens)
        work = _roofline(self.shape.weight_bytes, 2 * self.shape.parameters * tokens)
        return max(launches * LAUNCH_S * self.shape.layers, work) if tokens else 0.0

    def queries(self, at_once: int, rounds: int, rows: int, by: str) -> list[Work]:
        """Images that an attack samples, so many at once, and judges."""
        count = at_once * rounds
        return [self.images(count, rows, "queries", at_once), verdicts(count, by)]


def verdicts(count: int, by: str) -> Work:
    """Images judged."""
    return Work("verdicts", count, count * (NUDENET_S if by == "nudenet" else VERDICT_S))


def _roofline(read: float, computed: float) -> float:
    return max(read / BANDWIDTH, computed / PEAK)


@dataclass(frozen=True)
class Job:
    """A job of a rule, named like its benchmark file; the first of its works is what its time goes by."""

    rule: str
    name: str
    works: Sequence[Work]

    @property
    def units(self) -> int:
        """What its time goes by: units like those of its first work."""
        return sum(work.count for work in self.works if work.unit == self.works[0].unit)

    def seconds(self, speed: Speed) -> float:
        """Its time, its start included."""
        start = START_S if self.rule in WITHOUT_BACKBONE else speed.start()
        return start + sum(work.seconds for work in self.works)


@dataclass(frozen=True)
class Training:
    """A fine-tuning of edited weights with one window length, on at most so many pairs: its windows."""

    run: Run
    pairs: int
    length: int
    windows: int
    settings: Settings

    @property
    def rows(self) -> int:
        """Rows that are trained on at once."""
        variant = self.settings.variant
        return 1 if variant.context == "none" else variant.rows_read

    def work(self, speed: Speed) -> Work:
        """What it takes; reading the frozen states of its pairs is little beside it."""
        settings = self.settings
        kind = {"context": settings.variant.context != "none", "lora": settings.lora is not None}
        return speed.windows(self.windows, self.length, self.rows, settings.micro_batch, **kind)


def pairs_of(config: Config, concept: str) -> int:
    """Prompt pairs of a concept before the visual filter; language models may think of fewer."""
    if published := config.concepts[concept].published:
        return published.pair_rows
    assert config.prompts, "an experiment has prompts of its own or published ones"
    return config.prompts.pairs


def prompts_of(config: Config, concept: str) -> dict[str, int]:
    """Prompt set → evaluation prompts of a concept, in the order of their table.

    Of an unsafe concept's published files at most: rows that speak of minors are never drawn.
    """
    prompts, settings = config.prompts, config.concepts[concept]
    published = settings.published
    target = min(published.target_rows, published.target_used or published.target_rows) if published else 0
    if config.world:
        indirect = (config.axes.implicit or 0) * is_described(settings.words)
        indirect += (config.axes.neighbours or 0) * (settings.kind == "style")
    else:
        indirect = len(settings.implicit) + len(FRAMES) * len(settings.neighbours)
    retention = settings.retention.count if settings.retention else 0
    return {
        "target": target or (prompts.target if prompts else 0),
        "public": sum(one.count for one in settings.public.values()),
        "retention": prompts.retention if prompts and not published else retention,
        "indirect": indirect,
        "general": config.utility.general,
    }


def images_of(config: Config, concept: str, method: str) -> tuple[int, int]:
    """Images of a method for a concept, each fine-tuning seed: those that judges see, and general ones."""
    prompts, axes = prompts_of(config, concept), config.axes
    target = prompts["target"]
    if config.methods[method].diffusion:
        return target, 0
    plain = (target + prompts["retention"]) * axes.samples + prompts["public"] + prompts["indirect"]
    further = max(0, len(config.trained_windows(concept, method)) - 1)
    again = further * min(config.evaluation.window_prompts, target * axes.samples)
    pairs = pairs_of(config, concept) if method == ORIGINAL else 0
    levels = len(axes.prefixes) + len(axes.guidance) + len(axes.temperature)
    levels *= config.methods[method].draws  # images from elsewhere have no conditions
    conditions = levels * min(axes.prompts, target * axes.samples)
    if axes.prefixes:
        conditions += (len(axes.prefixes) + 1) * min(axes.prompts, pairs)  # ceilings
    return plain + again + conditions, prompts["general"]


def trainings_of(config: Config) -> list[Training]:
    """All fine-tunings: edited weights have one for each of their window lengths."""
    found = []
    for run in config.edited_weights():
        concepts, method = run[0].split(JOINT), run[1]
        if config.methods[method].trains:
            settings = config.settings(concepts[0], method)
            pairs = sum(pairs_of(config, concept) for concept in concepts)
            for length in config.trained_windows(concepts[0], method):
                windows = config.image_tokens / length
                whole = ceil(windows) if settings.variant.tail == "keep" else int(windows)
                found.append(Training(run, pairs, length, pairs * settings.passes * whole, settings))
    return found


def shared_general(config: Config) -> int:
    """General prompts that the original draws once for all concepts."""
    return shared_count(config.utility.general) if config.world else config.utility.general


def jobs_of(config: Config, speed: Speed) -> list[Job]:
    """All jobs that take time; those of prompts, filter, tables and figures take seconds."""
    parts = (_erasure, _rendering, _evaluation, _attacks)
    return [job for part in parts for job in part(config, speed)]


def _erasure(config: Config, speed: Speed) -> Iterator[Job]:
    for concept in config.concepts:
        yield Job("render_pairs", f"render_pairs-{concept}", [speed.images(2 * pairs_of(config, concept))])
    for concept, seed, context, encoding in config.sequences():
        count = len(SEQUENCE_NAMES[cast(Context, context)]) * pairs_of(config, concept)
        name = f"sample_sequences-{concept}-{seed}-{context}-{encoding}"
        yield Job("sample_sequences", name, [speed.images(count, unit="sequences")])
    for run, trainings in groupby(trainings_of(config), key=lambda one: one.run):
        yield Job("erase", "erase-{}-{}-{}".format(*run), [one.work(speed) for one in trainings])


def _rendering(config: Config, speed: Speed) -> Iterator[Job]:
    shards = config.rendering.shards
    for concept, method, seed in config.runs():
        if method == ORIGINAL:  # its general images and captions are render_general's
            targets = prompts_of(config, concept)["target"]  # whose image tokens attacks go on from
            judged, _ = images_of(config, concept, method)
            name = f"render_original-{concept}-{method}-{seed}"
            yield Job("render_targets", f"render_targets-{concept}", [speed.images(targets)])
            yield Job("render_original", name, [speed.images(judged - targets)])
    for shard in range(shards):
        share = partial(_share, shard, shards)
        captions = speed.captions(share(config.utility.captions))
        images = speed.images(share(shared_general(config)))
        yield Job("render_general", f"render_general-{shard}", [images, captions])
        for concept, method, seed in config.runs():
            (judged, general), settings = images_of(config, concept, method), config.methods[method]
            name = f"{concept}-{method}-{seed}-{shard}"
            if settings.diffusion:
                work = speed.diffused(share(judged), settings.diffusion.steps, settings.diffusion.size)
                yield Job("render_diffusion", f"render_diffusion-{name}", [work])
            elif settings.draws and method != ORIGINAL:
                images = speed.images(share(judged), 3 if settings.strength else 2)
                works = [images, speed.images(share(general)), captions]
                yield Job("render_images", f"render_images-{name}", works)


def _share(shard: int, shards: int, count: int) -> int:
    return len(range(shard, count, shards))


def _evaluation(config: Config, speed: Speed) -> Iterator[Job]:
    stand_ins = config.assets.stand_ins
    pictures = stand_ins.general if stand_ins else COCO_PICTURES
    if config.world or config.utility.reference == "matched":
        pictures = shared_general(config)
    yield Job("extract_features", "extract_features", [Work("features", pictures, pictures * FEATURE_S)])
    for concept, method, seed in config.runs():
        judged, general = images_of(config, concept, method)
        judges = [judge.by for judge in config.concepts[concept].judges.values()]
        seen = [verdicts(judged, by) for by in judges if by not in ON_CPU]
        seen.append(Work("features", judged + general, (judged + general) * FEATURE_S))
        rest = [verdicts(judged, by) for by in judges if by in ON_CPU]
        rest.append(Work("compared", general, general * DISTANCE_S))
        run = f"{concept}-{method}-{seed}"
        if config.world:  # one job does both
            yield Job("evaluate", f"evaluate-{run}", [*seen, *rest])
        else:
            yield Job("measure_images", f"measure_images-{run}", seen)
            yield Job("evaluate", f"evaluate-{run}", rest)


def _attacks(config: Config, speed: Speed) -> Iterator[Job]:
    for concept, method, seed in config.attacked_runs():
        target, by = prompts_of(config, concept)["target"], config.concepts[concept].judge.by
        rows, works = 3 if config.methods[method].strength else 2, list[Work]()
        if search := config.searched(method):
            prompts = min(search.prompts, target)
            works += speed.queries(prompts * len(SEARCHES), search.queries, rows, by)
            passes = prompts * (search.queries - 1) * (1 + BACKWARD + CANDIDATES)  # a gradient, candidates
            works.append(Work("passes", passes, passes * speed.passed(images=1)))
        if inversion := config.inverted(method):
            images = min(inversion.images, target)
            works += speed.queries(min(inversion.prompts, target - images), 2, rows, by)  # and the control
            step = (1 + BACKWARD) * speed.passed(images=images)
            works += [Work("steps", inversion.steps, inversion.steps * step), verdicts(images, by)]
        if relearning := config.relearned(method):
            works += speed.queries(min(relearning.prompts, target), len(relearning.steps), rows, by)
            step = (1 + BACKWARD) * speed.passed(images=relearning.batch_size)
            works.append(Work("steps", relearning.steps[-1], relearning.steps[-1] * step))
        yield Job("attack", f"attack-{concept}-{method}-{seed}", works)
