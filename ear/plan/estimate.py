"""The plan of an experiment: work, time and space, by stage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.memory import Dimensions
from ear.plan.assets import Needed, needed_assets
from ear.plan.cards import CARDS, Card
from ear.plan.dimensions import dimensions_of
from ear.plan.disk import Files, files_of
from ear.plan.measured import Measured, measured
from ear.plan.needs import Need, needs_of
from ear.plan.rates import STATED, STATED_RELEASE, STATED_START, Ours, Release, known_sum
from ear.plan.workload import FineTuning, Job, fine_tunings, jobs_of

TITLES = {
    "render_pairs": "draw prompt pairs",
    "calibrate_judge": "calibrate zero-shot judges",
    "filter_pairs": "judge prompt pairs",
    "sample_streams": "sample streams",
    "erase": "fine-tune",
    "render_general": "general, original",
    "render_original": "targets, original",
    "render_images": "draw and caption",
    "render_diffusion": "Stable Diffusion",
    "extract_features": "reference features",
    "measure_images": "CLIP, FID, judges",
    "evaluate": "judge and score",
    "attack": "attacks",
}


@dataclass(frozen=True)
class Stage:
    """All jobs of a rule.

    Attributes:
        rule: its name.
        jobs: how many.
        units: unit → count.
        tokens: image tokens that the language model samples or is trained on.
        seconds: of all jobs, one after the other; None where no rate is known.
        release: seconds of the release's loop; None likewise.
        basis: "measured: …", "stated" or "unknown".
    """

    rule: str
    jobs: int
    units: Mapping[str, int]
    tokens: int
    seconds: float | None
    release: float | None
    basis: str

    @property
    def title(self) -> str:
        """Its name for people."""
        return TITLES[self.rule]


@dataclass(frozen=True)
class Rate:
    """Time of one unit of work, on the average of the experiment.

    Attributes:
        what: the unit.
        seconds: of one; None where it is not known.
        basis: "measured: …", "stated: …" or "unknown".
    """

    what: str
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class OnCard:
    """The experiment on a GPU.

    Attributes:
        card: the GPU.
        batch_size: images drawn at once, as many as fit; 0 where some work does not fit at all.
        seconds: of all jobs, one after the other, by stated rates; None where it does not fit.
    """

    card: Card
    batch_size: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What an experiment would do.

    Attributes:
        config: the experiment.
        device: what its times are for.
        assets: that it needs.
        stages: its work.
        trainings: its fine-tunings.
        files: that it leaves.
        rates: that the times are made from.
        needs: GPU memory of each kind of work; none where the backbone's shape is not known.
        cards: the GPUs that it was planned for, and how it does on each.
    """

    config: Config
    device: str
    assets: Sequence[Needed]
    stages: Sequence[Stage]
    trainings: Sequence[FineTuning]
    files: Sequence[Files]
    rates: Sequence[Rate]
    needs: Sequence[Need]
    cards: Sequence[OnCard]


def make_plan(config: Config, catalogue: Mapping[str, Asset], benchmarks: str | Path) -> Plan:
    """Plan an experiment.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        benchmarks: folder of the experiment's benchmark files; what is there replaces stated times.
    """
    shape, jobs = dimensions_of(config, catalogue), jobs_of(config)
    on_gpu = config.backbone.device == "cuda"
    h100 = Ours(shape, config.rendering.batch_size) if on_gpu and shape else None
    needs = needs_of(config, shape) if on_gpu and shape else []
    finished = measured(jobs, benchmarks)
    return Plan(
        config=config,
        device="H100" if on_gpu else "CPU",
        assets=needed_assets(config, catalogue),
        stages=_stages(jobs, h100, finished),
        trainings=fine_tunings(config),
        files=files_of(config, shape),
        rates=_rates(jobs, h100, finished),
        needs=needs,
        cards=[_on_card(card, h100.shape, needs, jobs) for card in CARDS] if h100 else [],
    )


def _on_card(card: Card, shape: Dimensions, needs: Sequence[Need], jobs: Sequence[Job]) -> OnCard:
    fits = [need.fits(card.free_bytes) for need in needs]
    if not all(fits):
        return OnCard(card, 0, None)
    return OnCard(card, fits[0], known_sum(map(Ours(shape, fits[0], card).job, jobs)))


def _stages(jobs: Sequence[Job], h100: Ours | None, finished: Mapping[str, Measured]) -> list[Stage]:
    stages = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        of_rule = [job for job in jobs if job.rule == rule]
        works = [work for job in of_rule for work in job.works]
        units: Counter[str] = Counter()
        for work in works:
            units[work.unit] += work.count
        if done := finished.get(rule):
            left = sum(job.units for job in of_rule) - done.units
            seconds: float | None = done.seconds + left * done.seconds / done.units
            basis = f"measured: {done.jobs} of {len(of_rule)} jobs"
        else:
            seconds = known_sum(map(h100.job, of_rule)) if h100 else None
            basis = "unknown" if seconds is None else "stated"
        release = known_sum(map(Release(h100).seconds, works)) if h100 else None
        stages.append(
            Stage(rule, len(of_rule), units, sum(work.tokens for work in works), seconds, release, basis)
        )
    return stages


def _rates(jobs: Sequence[Job], h100: Ours | None, finished: Mapping[str, Measured]) -> list[Rate]:
    """Measured rates of rules, stated ones of the kinds of work that other rules do."""
    rates = []
    for rule, done in finished.items():
        of_rule = [job for job in jobs if job.rule == rule]
        basis = f"measured: {done.jobs} of {len(of_rule)} jobs, their start included"
        rates.append(Rate(f"{TITLES[rule]}, {of_rule[0].works[0].name}", done.seconds / done.units, basis))
    stated = [job for job in jobs if job.rule not in finished]
    works = [work for job in stated for work in job.works]
    for kind in dict.fromkeys(type(work) for work in works):
        of_kind = [work for work in works if type(work) is kind]
        count = sum(work.count for work in of_kind)
        seconds = known_sum(map(h100.seconds, of_kind)) if h100 else None
        basis = "unknown" if seconds is None else f"stated: {STATED[kind]}"
        rates.append(Rate(kind.name, seconds / count if seconds and count else seconds, basis))
    if h100 and stated:
        start = sum(h100.start(job.works) for job in stated) / len(stated)
        rates.append(Rate("start of a job", start, f"stated: {STATED_START}"))
    if h100:
        rates.append(Rate("a token in the release's loop", Release(h100).step, f"stated: {STATED_RELEASE}"))
    return rates
