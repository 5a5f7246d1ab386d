"""The plan of an experiment: work, time and space, by stage."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.plan.assets import Needed, needed_assets
from ear.plan.dimensions import dimensions_of
from ear.plan.disk import Files, files_of
from ear.plan.measured import Measured, measured
from ear.plan.rates import H100, STATED, STATED_RELEASE, STATED_START, Release, known_sum
from ear.plan.workload import FineTuning, Job, fine_tunings, jobs_of

TITLES = {
    "train_vq": "train the VQ tokenizer",
    "train_language_model": "train the language model",
    "train_classifier": "train the classifier",
    "train_clip": "train CLIP",
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
        peak_bytes: GPU memory of drawing; None where it is not known.
    """

    config: Config
    device: str
    assets: Sequence[Needed]
    stages: Sequence[Stage]
    trainings: Sequence[FineTuning]
    files: Sequence[Files]
    rates: Sequence[Rate]
    peak_bytes: int | None


def make_plan(config: Config, catalogue: Mapping[str, Asset], benchmarks: str | Path) -> Plan:
    """Plan an experiment.

    Args:
        config: the experiment.
        catalogue: all assets, by name.
        benchmarks: folder of the experiment's benchmark files; what is there replaces stated times.
    """
    shape, jobs = dimensions_of(config, catalogue), jobs_of(config)
    on_gpu = config.backbone.device == "cuda"
    h100 = H100(shape, config.rendering.batch_size) if on_gpu and shape else None
    finished = measured(jobs, benchmarks)
    return Plan(
        config=config,
        device="H100" if on_gpu else "CPU",
        assets=needed_assets(config, catalogue),
        stages=_stages(jobs, h100, finished),
        trainings=fine_tunings(config),
        files=files_of(config, shape),
        rates=_rates(jobs, h100, finished),
        peak_bytes=h100.peak_bytes if h100 else None,
    )


def _stages(jobs: Sequence[Job], h100: H100 | None, finished: Mapping[str, Measured]) -> list[Stage]:
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


def _rates(jobs: Sequence[Job], h100: H100 | None, finished: Mapping[str, Measured]) -> list[Rate]:
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
