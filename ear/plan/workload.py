"""The work of an experiment, job by job, of the rules that take time: what the workflow would do."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from ear.attacks.budget import CANDIDATES, SEARCHES
from ear.axes.probes import sizes_of
from ear.config import Config
from ear.erasure.presets import STREAM_NAMES, TOGETHER, Settings
from ear.judges.base import ON_CPU
from ear.names import ORIGINAL
from ear.plan.work import (
    Captions,
    Diffused,
    Distances,
    Features,
    Goals,
    Images,
    Queries,
    Readings,
    Relearning,
    Streams,
    Verdicts,
    Windows,
    Work,
)
from ear.prompts.grammar import shared_count
from ear.prompts.tables import FRAMES
from ear.world.captions import is_described

COCO_PICTURES = 40_504
"""Of val2014."""


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        rule: its rule.
        name: of its benchmark file, without suffix.
        works: what it does, the work that its time goes by first.
    """

    rule: str
    name: str
    works: tuple[Work, ...]

    @property
    def units(self) -> int:
        """What its time goes by: units like those of its first work."""
        return sum(work.count for work in self.works if work.unit == self.works[0].unit)


@dataclass(frozen=True)
class FineTuning:
    """One training of one window length.

    Attributes:
        concept: erased concept, or several that are erased together.
        method: name of the method.
        seed: of the run.
        pairs: at most; the visual filter may drop some.
        windows: what it does.
    """

    concept: str
    method: str
    seed: int
    pairs: int
    windows: Windows


@dataclass(frozen=True)
class Drawn:
    """Images of one (concept, method, seed), by their prompts; the original's general ones are all concepts'.

    Attributes:
        target: of prompts that name the concept.
        retention: of those that do not.
        indirect: of those that describe it without its words, and of what is close to it.
        general: of prompts without any concept.
        further_windows: window lengths beside the method's own.
        window_prompts: target prompts drawn again with each of them.
        probes: of each probe of the axes.
    """

    target: int
    retention: int
    indirect: int
    general: int
    further_windows: int
    window_prompts: int
    probes: tuple[int, ...]

    @property
    def again(self) -> int:
        """Images of further window lengths."""
        return self.further_windows * self.window_prompts

    @property
    def axes(self) -> int:
        """Images of the axes beside the prompts that name the concept, do not, or are general."""
        return self.indirect + sum(self.probes)

    @property
    def total(self) -> int:
        """All images."""
        return self.target + self.retention + self.general + self.again + self.axes


def pairs_of(config: Config, concept: str) -> int:
    """Prompt pairs of a concept before the visual filter; language models may think of fewer."""
    published = config.concepts[concept].published
    if published:
        return published.pair_rows
    assert config.prompts, "an experiment has prompts of its own or published ones"
    return config.prompts.pairs


def prompts_of(config: Config, concept: str) -> dict[str, int]:
    """Prompt set → evaluation prompts of a concept, in the order of their table.

    Of an unsafe concept's published file at most: rows that speak of minors are never drawn.
    """
    prompts, published = config.prompts, config.concepts[concept].published
    target = min(published.target_rows, published.target_used or published.target_rows) if published else 0
    return {
        "target": target or (prompts.target if prompts else 0),
        "retention": prompts.retention if prompts and not published else 0,
        "indirect": _indirect(config, concept),
        "general": config.utility.general,
    }


def _indirect(config: Config, concept: str) -> int:
    """Prompts of a concept that describe it without its words, or are of what is close to it."""
    settings = config.concepts[concept]
    if config.world:
        described = (config.axes.implicit or 0) * is_described(settings.words)
        return described + (config.axes.neighbours or 0) * (settings.kind == "style")
    return len(settings.implicit) + len(FRAMES) * len(settings.neighbours)


def drawn(config: Config, concept: str, method: str) -> Drawn:
    """Images of a method for a concept, each fine-tuning seed."""
    prompts = prompts_of(config, concept)
    target = prompts["target"]
    if config.methods[method].diffusion:
        return Drawn(target, 0, 0, 0, 0, 0, ())
    axes = config.axes.model_dump()
    return Drawn(
        target=target * config.axes.samples,
        retention=prompts["retention"] * config.axes.samples,
        indirect=prompts["indirect"],
        general=prompts["general"],
        further_windows=max(0, len(config.trained_windows(concept, method)) - 1),
        window_prompts=min(config.evaluation.window_prompts, target),
        probes=sizes_of(axes, target, pairs_of(config, concept) if method == ORIGINAL else 0),
    )


def fine_tunings(config: Config) -> list[FineTuning]:
    """All trainings: an adapter has one for each of its window lengths."""
    found = []
    for erased, method, seed in config.adapters():
        if config.methods[method].trains:
            concepts = erased.split(TOGETHER)
            pairs, settings = _all_pairs(config, erased), config.settings(concepts[0], method)
            for window in config.trained_windows(concepts[0], method):
                work = _windows(settings, window, pairs, config.image_tokens)
                found.append(FineTuning(erased, method, seed, pairs, work))
    return found


def _all_pairs(config: Config, erased: str) -> int:
    return sum(pairs_of(config, concept) for concept in erased.split(TOGETHER))


def _windows(settings: Settings, length: int, pairs: int, tokens: int) -> Windows:
    """What a training does; the steps left over at an image's end are a window or dropped."""
    images, variant = pairs * settings.passes, settings.variant
    keep = variant.tail == "keep"
    windows = ceil(tokens / length) if keep else tokens // length
    return Windows(
        count=images * windows,
        tokens=images * (tokens if keep else windows * length),
        length=length,
        context=variant.context,
        micro_batch=settings.micro_batch,
        layers=settings.layers,
        cuts=variant.cuts,
    )


def shared_general(config: Config) -> int:
    """General prompts that the original draws once for all concepts."""
    return shared_count(config.utility.general) if config.world else config.utility.general


def reference_pictures(config: Config) -> int:
    """Pictures that FID and KID compare with."""
    if config.world or config.utility.reference == "matched":
        return shared_general(config)
    return config.assets.stand_ins.general if config.assets.stand_ins else COCO_PICTURES


def jobs_of(config: Config) -> list[Job]:
    """All jobs that take time, in pipeline order; those of tables, figures and prompts take seconds."""
    return [
        *_filter(config),
        *_streams(config),
        *_erasure(config),
        *_rendering(config),
        *_evaluation(config),
        *_attacks(config),
    ]


def _filter(config: Config) -> Iterator[Job]:
    for concept, settings in config.concepts.items():
        images = 2 * pairs_of(config, concept)
        yield Job(
            "render_pairs", f"render_pairs-{concept}", (Images(images, images * config.image_tokens, rows=2),)
        )
        for which, judge in settings.judges.items():
            if judge.by == "zero-shot":
                scored = Verdicts(images, 0, judge.by)
                yield Job("calibrate_judge", f"calibrate_judge-{concept}-{which}", (scored,))
        verdicts = tuple(Verdicts(images, 0, judge.by) for judge in settings.judges.values())
        yield Job("filter_pairs", f"filter_pairs-{concept}", verdicts)


def _streams(config: Config) -> Iterator[Job]:
    wanted: dict[str, Job] = {}
    for concept, method, seed in config.runs():
        if config.methods[method].trains:
            variant = config.settings(concept, method).variant
            count = len(STREAM_NAMES[variant.context]) * pairs_of(config, concept)
            name = f"sample_streams-{concept}-{seed}-{variant.context}-{variant.encoding}"
            streams = Streams(count, count * config.image_tokens, variant.context)
            wanted[name] = Job("sample_streams", name, (streams,))
    yield from wanted.values()


def _erasure(config: Config) -> Iterator[Job]:
    trainings = fine_tunings(config)
    for run in config.adapters():
        windows = [one.windows for one in trainings if (one.concept, one.method, one.seed) == run]
        if windows:
            goals = Goals(_all_pairs(config, run[0]), 0, windows[0].context, windows[0].cuts)
            yield Job("erase", "erase-{}-{}-{}".format(*run), (*windows, goals))


def _rendering(config: Config) -> Iterator[Job]:
    tokens, shards = config.image_tokens, config.rendering.shards
    for shard in range(shards):
        general = len(range(shard, shared_general(config), shards))
        captions = Captions(len(range(shard, config.utility.captions, shards)), 0)
        works: tuple[Work, ...] = (Images(general, general * tokens, rows=2, general=True), captions)
        yield Job("render_general", f"render_general-{shard}", works)
    for concept, method, seed in config.runs():
        images, settings = drawn(config, concept, method), config.methods[method]
        rule = "render_diffusion" if settings.diffusion else "render_images"
        if method == ORIGINAL:  # its general images and captions are render_general's
            left = images.target + images.retention + images.axes
            yield Job(
                "render_original",
                f"render_original-{concept}-{method}-{seed}",
                (Images(left, left * tokens, rows=2),),
            )
            continue
        for shard in range(shards):

            def share(rows: int, shard: int = shard) -> int:
                return len(range(shard, rows, shards))  # a shard has every n-th row of a table

            prompts = prompts_of(config, concept)
            before = prompts["target"] + prompts["retention"] + prompts["indirect"]  # of the table
            plain = images.target + images.retention + images.indirect + images.general
            general = share(before + images.general) - share(before) if images.general else 0
            special = share(plain) - general + sum(map(share, images.probes))
            special += images.further_windows * share(images.window_prompts)
            if settings.diffusion:
                works = (Diffused(special, 0, settings.diffusion.steps, settings.diffusion.size),)
            else:
                rows = 3 if settings.strength else 2
                works = (
                    Images(special, special * tokens, rows),
                    Images(general, general * tokens, rows, general=True),
                    Captions(share(config.utility.captions), 0),
                )
            yield Job(rule, f"{rule}-{concept}-{method}-{seed}-{shard}", works)


def _evaluation(config: Config) -> Iterator[Job]:
    yield Job("extract_features", "extract_features", (Features(reference_pictures(config), 0),))
    for concept, method, seed in config.runs():
        images, judges = drawn(config, concept, method), config.concepts[concept].judges.values()
        judged = images.total - images.general
        verdicts = [Verdicts(judged, 0, judge.by, config.backbone.threads) for judge in judges]
        on_gpu = [one for one in verdicts if one.by not in ON_CPU]
        # CLIP opens what no judge on the GPU does.
        seen = [*on_gpu, Features(images.general if on_gpu else images.total, 0)]
        rest = [*(one for one in verdicts if one.by in ON_CPU), Distances(images.general, 0)]
        run = f"{concept}-{method}-{seed}"
        if config.world:  # one job does both
            yield Job("evaluate", f"evaluate-{run}", (*seen, *rest))
        else:
            yield Job("measure_images", f"measure_images-{run}", tuple(seen))
            yield Job("evaluate", f"evaluate-{run}", tuple(rest))


def _attacks(config: Config) -> Iterator[Job]:
    tokens = config.image_tokens
    for concept, method, seed in config.attacked_runs():
        target = drawn(config, concept, method).target
        by, rows = config.concepts[concept].judge.by, 3 if config.methods[method].strength else 2
        works: list[Work] = []
        streams = 0
        if search := config.searched(method):
            prompts = min(search.prompts, target)
            at_once = prompts * len(SEARCHES)
            count, guided = at_once * search.queries, prompts * (search.queries - 1)
            works.append(Queries(count, count * tokens, rows, by, at_once))
            readings = guided * (1 + CANDIDATES)
            works.append(Readings(readings, readings * tokens, backward=guided))
            streams += prompts
        if relearning := config.relearned(method):
            prompts, steps = min(relearning.prompts, target), relearning.steps[-1]
            count, images = prompts * len(relearning.steps), relearning.batch_size
            works.append(Queries(count, count * tokens, rows, by, prompts))
            works.append(Relearning(steps, steps * images * tokens, images, config.erasure.layers))
            streams += pairs_of(config, concept)
        works.append(Streams(streams, streams * tokens, "aligned"))
        yield Job("attack", f"attack-{concept}-{method}-{seed}", tuple(works))
