"""Methods compared on the same prompts and random numbers: differences, p values, and what n could show."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from ear.evaluation.columns import COMPARISONS_CSV
from ear.evaluation.metrics_table import OF_IMAGES, RATES, Job
from ear.evaluation.protocols import METRICS, RETENTION, TARGET, axis_of
from ear.evaluation.statistics.paired import Difference, holm, mean_difference, rate_difference
from ear.prompts.tables import prompt_of
from ear.workflow.seeding import ORIGINAL

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
SIGNIFICANT = 0.05
_IN_PAIRS = (TARGET, RETENTION)


def comparisons(jobs: Sequence[Job], shown_method: str) -> pd.DataFrame:
    """Every method against the original and against the shown one; on target and retention, all pairs.

    Compared is what the axes of a prompt set measure image by image: FID, KID, BLEU and diversity belong to
    sets, not to prompts. Rows of two methods are matched by prompt, sampling seed and fine-tuning seed, which
    give both the same random numbers. A method with one seed (nothing is trained) stands beside each seed of
    the other. Prompts that one of the two lacks do not count.

    ``p_holm`` is corrected over the rows of one concept, prompt set and metric, which answer one question.
    (Over all prompt sets, three seeds, whose p values hardly go below 0.001, could show nothing.)
    The verdict is "better" or "worse" where ``p_holm`` is below 5 % and the interval leaves 0 out.

    Args:
        jobs: what was measured.
        shown_method: the method that the others are compared with.

    Returns:
        ``COMPARISONS_CSV``, in the order of ``jobs``; ``difference`` is method less reference.
    """
    frames: dict[str, dict[str, dict[int, pd.DataFrame]]] = {}
    for job in jobs:
        frames.setdefault(job.concept, {}).setdefault(job.method, {})[job.seed] = job.own()
    rows: list[dict[str, Any]] = []
    for concept, methods in frames.items():
        every = [frame for seeds in methods.values() for frame in seeds.values()]
        for prompt_set in dict.fromkeys(name for frame in every for name in frame["prompt_set"].unique()):
            pairs = _pairs(list(methods), shown_method, prompt_set)
            of_set = {
                method: {seed: frame[frame["prompt_set"] == prompt_set] for seed, frame in seeds.items()}
                for method, seeds in methods.items()
            }
            names = {"concept": concept, "prompt_set": prompt_set}
            for metric in OF_IMAGES:
                if axis_of(prompt_set, metric.removeprefix("second_")):
                    rows += [names | row for row in _family(metric, of_set, pairs)]
    return COMPARISONS_CSV.frame(rows)


def _family(
    metric: str, methods: dict[str, dict[int, pd.DataFrame]], pairs: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The rows of one question: one metric on one prompt set of one concept."""
    values = {
        method: {seed: _values(metric, frame) for seed, frame in seeds.items()}
        for method, seeds in methods.items()
    }
    rows: list[dict[str, Any]] = []
    for method, reference in pairs:
        one = _difference(metric, values[method], values[reference])
        if one is not None:
            row = {"metric": metric, "method": method, "reference": reference, "difference": one.value}
            row |= {"ci_low": one.low, "ci_high": one.high, "p": one.p, "smallest_shown": one.smallest_shown}
            rows.append(row | {"n_prompts": one.prompts, "seeds": one.seeds})
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
        row["verdict"] = _verdict(row)
    return rows


def _pairs(methods: Sequence[str], shown_method: str, prompt_set: str) -> list[tuple[str, str]]:
    """(method, reference): each two methods once, the original or else the shown one as reference."""
    references = [name for name in (ORIGINAL, shown_method) if name in methods]
    ordered = [*references, *(name for name in methods if name not in references)]
    return [
        (method, reference)
        for reference, method in combinations(ordered, 2)
        if reference in references or prompt_set in _IN_PAIRS
    ]


def _values(metric: str, verdicts: pd.DataFrame) -> pd.Series:
    """Values by prompt and image, of the images that the metric is asked of."""
    found = RATES[metric](verdicts) if metric in RATES else verdicts[metric]
    ids = verdicts.loc[found.index, "prompt_id"]
    return pd.Series(found.to_numpy(), index=pd.MultiIndex.from_arrays([prompt_of(ids), ids]))


def _difference(metric: str, ours: dict[int, pd.Series], theirs: dict[int, pd.Series]) -> Difference | None:
    """The difference of two methods; None where they have no prompt in common."""
    parts = []
    for seed in _common_seeds(ours, theirs):
        pair = (
            of_seed[seed] if seed in of_seed else next(iter(of_seed.values())) for of_seed in (ours, theirs)
        )
        parts.append(pd.concat(pair, axis=1, join="inner", keys=["ours", "theirs"]).assign(seed=seed))
    together = pd.concat(parts)
    if together.empty:
        return None
    measure = rate_difference if metric in RATES else mean_difference
    prompts = together.index.get_level_values(0)
    return measure(together["ours"], together["theirs"], prompts, together["seed"])


def _common_seeds(ours: dict[int, pd.Series], theirs: dict[int, pd.Series]) -> list[int]:
    """Seeds of both, or of the one where the other has a single one."""
    if len(ours) > 1 and len(theirs) > 1:
        return sorted(set(ours) & set(theirs))
    return sorted(ours if len(ours) > 1 else theirs)


def _verdict(row: dict[str, Any]) -> str:
    if not (row["p_holm"] < SIGNIFICANT and (row["ci_low"] > 0 or row["ci_high"] < 0)):
        return NOT_SHOWN
    return BETTER if (row["difference"] < 0) == METRICS[row["metric"]].lower else WORSE
