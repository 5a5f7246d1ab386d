"""The plan as JSON can hold it."""

from typing import Any

from ear.plan.estimate import Plan


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON can hold it; what is not known is null."""
    return {
        "experiment": plan.config.experiment,
        "device": plan.device,
        "assets": [
            {
                "name": one.name,
                "source": one.asset.source.words,
                "licence": one.asset.licence,
                "bytes": one.asset.size,
                "approximate": one.asset.approximate,
                "state": one.state,
                "fetch": one.fetch,
            }
            for one in plan.assets
        ],
        "stages": [
            {
                "rule": stage.rule,
                "jobs": stage.jobs,
                "units": dict(stage.units),
                "image_tokens": stage.tokens,
                "seconds": stage.seconds,
                "release_seconds": stage.release,
                "basis": stage.basis,
            }
            for stage in plan.stages
        ],
        "fine_tunings": [
            {
                "concept": one.concept,
                "method": one.method,
                "seed": one.seed,
                "window": one.windows.length,
                "pairs": one.pairs,
                "windows": one.windows.count,
                "image_tokens": one.windows.tokens,
            }
            for one in plan.trainings
        ],
        "disk": [
            {"what": one.what, "count": one.count, "bytes": one.bytes, "passing": one.passing}
            for one in plan.files
        ],
        "rates": [{"what": one.what, "seconds": one.seconds, "basis": one.basis} for one in plan.rates],
        "known_seconds": sum(stage.seconds for stage in plan.stages if stage.seconds is not None),
        "stages_of_unknown_time": [stage.rule for stage in plan.stages if stage.seconds is None],
        "gpu_memory": [
            {
                "what": need.what,
                "unit": need.unit,
                "at_once": need.wanted,
                "bytes": need.bytes,
                "fits": {one.card.name: need.fits(one.card.free_bytes) for one in plan.cards},
            }
            for need in plan.needs
        ],
        "cards": [
            {"name": one.card.name, "batch_size": one.batch_size, "seconds": one.seconds}
            for one in plan.cards
        ],
    }
