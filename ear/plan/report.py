"""The plan as text for a terminal."""

import textwrap
from collections.abc import Iterable, Sequence

from ear.assets.catalogue import size_in_words
from ear.names import ORIGINAL
from ear.plan.estimate import Plan, Stage
from ear.plan.workload import FineTuning, drawn, shared_general

WIDTH = 100
INDENT = "  "
UNKNOWN = "unknown"


def as_text(plan: Plan) -> str:
    """The plan as plain text, at most ``WIDTH`` columns wide."""
    config = plan.config
    title = (
        f"Plan of {config.experiment}: {config.backbone.asset}, {config.backbone.dtype}, on one {plan.device}"
    )
    sections = {
        "Assets": _assets(plan),
        "Work by stage": _stages(plan),
        "Fine-tunings": _trainings(plan),
        "Images": _images(plan),
        "Disk": _disk(plan),
        "GPU memory": _memory(plan),
        "Rates": _rates(plan),
        "In short": _paragraph(" ".join(_summary(plan))),
    }
    bodies = [f"{name}\n{textwrap.indent(body, INDENT)}" for name, body in sections.items() if body]
    return "\n\n".join([title, *bodies]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Aligned columns, the first ``left`` of them to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _paragraph(text: str, first: str = "", later: str = "") -> str:
    return textwrap.fill(
        text, WIDTH - len(INDENT), initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )


def _assets(plan: Plan) -> str:
    settings = plan.config.assets
    rows = [[one.name, one.state, one.asset.size_words] for one in plan.assets]
    header, *lines = table(["asset", "state", "size"], rows, left=2).splitlines()
    parts = [header]
    for line, one in zip(lines, plan.assets, strict=True):
        about = [one.asset.source.words, f"licence: {one.asset.licence}"]
        parts += [line, *(_paragraph(text, "    ", "    ") for text in about)]
    place = f"assets.root is {settings.root}" if settings.root else f"assets.store is {settings.store}"
    fetched = sum(one.asset.size for one in plan.assets if one.fetch)
    said = f"To fetch: {size_in_words(fetched) if fetched else 'nothing'}. {place}."
    if settings.stand_ins:
        said += " Sizes are those of the real assets, not of their stand-ins."
    return "\n".join([*parts, _paragraph(said)])


def _stages(plan: Plan) -> str:
    unit, scale = _unit(plan)
    with_release = any(stage.release is not None for stage in plan.stages)
    rows = []
    for stage in plan.stages:
        work, *more = (f"{count:,} {name}" for name, count in stage.units.items())
        times = [_time(stage.seconds, scale), *([_time(stage.release, scale)] if with_release else [])]
        rows.append(
            [stage.title, f"{stage.jobs:,}", work, _count(stage.tokens), *times, stage.basis.split(":")[0]]
        )
        rows += [["", "", other, "", *("" for _ in times), ""] for other in more]
    jobs, tokens = sum(stage.jobs for stage in plan.stages), sum(stage.tokens for stage in plan.stages)
    totals = [_total((stage.seconds for stage in plan.stages), scale)]
    header = ["stage", "jobs", "work", "image tokens", f"{plan.device} {unit}"]
    if with_release:
        totals.append(_total((stage.release for stage in plan.stages), scale))
        header.append(f"release's {unit}")
    return table([*header, "basis"], [*rows, ["all", f"{jobs:,}", "", f"{tokens:,}", *totals, ""]])


def _trainings(plan: Plan) -> str:
    if not plan.trainings:
        return ""
    groups: dict[tuple[str, str], list[FineTuning]] = {}
    for one in plan.trainings:
        groups.setdefault((one.concept, one.method), []).append(one)
    rows = []
    for name, found in groups.items():
        lengths = ", ".join(map(str, dict.fromkeys(one.windows.length for one in found)))
        rows.append([*name, lengths, str(found[0].pairs), *_counts(found)])
    header = ["concept", "method", "window lengths", "pairs", "trainings", "windows", "image tokens"]
    body = table(header, [*rows, ["all", "", "", "", *_counts(plan.trainings)]], left=3)
    if plan.config.filter.drop:
        body += "\nAn upper bound: the visual filter may drop some of the pairs."
    return body


def _counts(trainings: Sequence[FineTuning]) -> list[str]:
    windows = [one.windows for one in trainings]
    sums = len(windows), sum(one.count for one in windows), sum(one.tokens for one in windows)
    return [f"{value:,}" for value in sums]


def _images(plan: Plan) -> str:
    config, general = plan.config, shared_general(plan.config)
    rows, total = [["all", ORIGINAL, "0", "0", f"{general:,}", "0", "0", "1", f"{general:,}"]], general
    for concept, method in dict.fromkeys(run[:2] for run in config.runs()):
        seeds = len(config.seeds) if config.methods[method].trains else 1
        one = drawn(config, concept, method)
        own = 0 if method == ORIGINAL else one.general
        images = (one.total - one.general + own) * seeds
        counts = [one.target, one.retention, own, one.again, one.axes, seeds, images]
        rows.append([concept, method, *(f"{count:,}" for count in counts)])
        total += images
    header = [
        "concept",
        "method",
        "target",
        "retention",
        "general",
        "other windows",
        "axes",
        "seeds",
        "images",
    ]
    return table(header, [*rows, ["all", *[""] * 7, f"{total:,}"]], left=2)


def _disk(plan: Plan) -> str:
    kept = [one for one in plan.files if not one.passing]
    rows = [[one.what, f"{one.count:,}", _size(one.each), _size(one.bytes)] for one in kept]
    known, lacking = _known(one.bytes for one in kept)
    rows.append(["all, assets not counted", "", "", f"{'≥ ' if lacking else ''}{_size(known)}"])
    notes = [
        f"While it runs: {one.what}, up to {one.count:,} of {_size(one.each)} each"
        for one in plan.files
        if one.passing
    ]
    return "\n".join([table(["what", "count", "each", "bytes"], rows), *notes])


def _memory(plan: Plan) -> str:
    if not plan.needs:
        return ""
    rows = [
        [
            need.what,
            str(need),
            _size(need.bytes),
            *(str(need.fits(one.card.free_bytes) or "too large") for one in plan.cards),
        ]
        for need in plan.needs
    ]
    cards = [f"{one.card.memory} GB" for one in plan.cards]
    note = "Fewer are done at once where the card has less memory than that: as many as stand below it."
    return f"{table(['work', 'at once', 'needs', *cards], rows)}\n{_paragraph(note)}"


def _rates(plan: Plan) -> str:
    lines = []
    for one in plan.rates:
        time = "" if one.seconds is None else f"{_duration(one.seconds)}, "
        lines.append(_paragraph(f"{one.what}: {time}{one.basis}", later="    "))
    return "\n".join(lines)


def _summary(plan: Plan) -> list[str]:
    """What it comes to, in sentences."""
    stages, (unit, scale) = plan.stages, _unit(plan)
    known, unknown = _known(stage.seconds for stage in stages)
    if unknown == len(stages):
        return [f"How long it takes on a {plan.device} is unknown until jobs of it have finished."]
    longest = max(stages, key=lambda stage: stage.seconds or 0)
    said = [
        f"One {plan.device}: {'at least ' if unknown else ''}{known / scale:,.1f} {unit}, of which "
        f"{(longest.seconds or 0) / scale:,.1f} for the stage “{longest.title}”."
    ]
    if unknown:
        lacking = ", ".join(stage.title for stage in stages if stage.seconds is None)
        said.append(f"Unknown, and not in the sum: {lacking}.")
    release, beyond = _known(stage.release for stage in stages)
    if not (unknown or beyond):
        said.append(
            f"The release's one-at-a-time loop would take {release / scale:,.0f} {unit} for the same work, "
            f"{release / known:,.1f} times as long."
        )
    said.append(_reliability(stages))
    on_cards = [
        f"{one.seconds / scale:,.1f} {unit} on one {one.card.name}, {one.batch_size} images at once"
        if one.seconds
        else f"too large for one {one.card.name}"
        for one in plan.cards[:-1]
    ]
    return [*said, f"By these rates: {'; '.join(on_cards)}."] if on_cards else said


def _reliability(stages: Sequence[Stage]) -> str:
    measured = sum(stage.basis.startswith("measured") for stage in stages)
    stated = sum(stage.basis == "stated" for stage in stages)
    counts = f"Of {len(stages)} stages {measured or 'none'} {'is' if measured < 2 else 'are'} measured"
    doubt = (
        f", and {stated} estimated from the rates above, perhaps wrong by a factor of two" if stated else ""
    )
    return f"{counts}{doubt}."


def _unit(plan: Plan) -> tuple[str, int]:
    """Hours; minutes of what is short."""
    known, _ = _known(stage.seconds for stage in plan.stages)
    return ("hours", 3600) if plan.device != "CPU" and known > 7200 else ("minutes", 60)


def _known(values: Iterable[float | None]) -> tuple[float, int]:
    """The sum of the values that are known, and how many are not."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return sum(known), len(listed) - len(known)


def _total(values: Iterable[float | None], scale: int) -> str:
    known, unknown = _known(values)
    return f"{'≥ ' if unknown else ''}{known / scale:,.2f}"


def _count(value: int) -> str:
    return f"{value:,}" if value else "–"


def _time(seconds: float | None, scale: int) -> str:
    """A time, or "–" for what takes none of its own."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds / scale:,.2f}" if seconds else "–"


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


def _size(count: float | None) -> str:
    return UNKNOWN if count is None else size_in_words(round(count))
