"""Adapters and token streams: whole, listed, and made from this config, these pairs and one backbone."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
from safetensors import SafetensorError, safe_open

from ear.erasure.adapter import FORMAT, KEY, flat
from ear.erasure.presets import STREAM_NAMES, TOGETHER
from ear.erasure.streams import made_from
from ear.erasure.together import hash_of_pairs
from ear.erasure.windows import WINDOW_COLUMNS
from ear.integrity.inspection import Inspection
from ear.integrity.prompts import SCORES
from ear.integrity.rows import compare_rows, same, shown
from ear.janus import Backbone
from ear.prompts.tables import PAIR_COLUMNS
from ear.seeding import stable_seed

TRAINING_COLUMNS = ["window_length", "threshold", "skipped"]


@dataclass(frozen=True)
class _Known:
    """A backbone of which the fingerprint alone is known."""

    sha256: str

    def fingerprint(self) -> str:
        return self.sha256


def check_adapters(inspection: Inspection) -> None:
    """Check all adapters, what they say of themselves, and the streams that they were trained on."""
    facts: dict[str, Mapping[str, Any]] = {}
    for run in inspection.config.adapters():
        facts |= _check_adapter(inspection, *run)
    backbone = _check_backbones(inspection, facts)
    _note_versions(inspection, facts)
    for concept, seed, context, encoding in inspection.config.streams():
        path = inspection.paths.streams(concept, seed, context, encoding)
        _check_streams(inspection, path, concept, context, backbone)


def _check_adapter(
    inspection: Inspection, erased: str, method: str, seed: int
) -> dict[str, Mapping[str, Any]]:
    """Check a method's adapters, of one concept or several; returns what each says of itself, by path."""
    config, paths = inspection.config, inspection.paths
    path, concept = paths.run("erased", erased, method, seed, "windows.csv"), erased.split(TOGETHER)[0]
    table = inspection.table(path, WINDOW_COLUMNS)
    if table is None:
        return {}
    own = config.method_window(concept, method)
    windows = config.trained_windows(concept, method)
    wanted = pd.DataFrame(
        [(w, w == own, "adapter.safetensors" if w == own else f"windows/W{w}.safetensors") for w in windows],
        columns=["window", "own", "file"],
    )
    compare_rows(inspection, path, table, wanted, ["window"])
    folder = Path(path).parent
    files = [folder / str(name) for name in table["file"]]
    inspection.files(files, table["sha256"], f"hashing {folder}")
    inspection.unlisted(folder, ".safetensors", files, "windows.csv")
    inspection.counts["adapters"] += len(files)
    facts = {}
    for file, row in zip(files, table.to_dict(orient="records"), strict=True):
        metadata = _metadata(inspection, file)
        if metadata is None:
            continue
        found = _adapter_facts(inspection, file, metadata)
        facts[str(file)] = found
        for key, value in flat(_wanted_facts(inspection, erased, method, seed, row)):
            cell = _leaf(found, key)
            if not same(cell, value):
                inspection.mismatch(f"{file}: {key}", shown(cell), shown(value))
    if config.methods[method].trains:
        _check_training(inspection, paths.run("erased", erased, method, seed, "training.csv"), table)
    return facts


def _wanted_facts(
    inspection: Inspection, erased: str, method: str, seed: int, row: Mapping[Any, Any]
) -> dict[str, Any]:
    """What the metadata of an adapter must say, by its place, the config and the pairs."""
    config = inspection.config
    facts = {"format": FORMAT, "concept": erased, "method": method, "window": row["window"]}
    if not config.methods[method].trains:
        return facts
    concepts = erased.split(TOGETHER)
    paths = [inspection.paths.training_pairs(concept, config.filter.drop) for concept in concepts]
    tables = inspection.hashes(paths, "hashing pairs")
    return facts | {
        "fine_tuning_seed": seed,
        "seed": stable_seed(config.seed, seed),
        "settings": asdict(config.settings(concepts[0], method)),
        "threshold": row["threshold"],
        "pairs_sha256": hash_of_pairs([table.removeprefix("sha256 ") for table in tables]),
    }


def _check_training(inspection: Inspection, path: str, windows: pd.DataFrame) -> None:
    """The losses of the training give the thresholds and shares that windows.csv lists."""
    log = inspection.table(path, TRAINING_COLUMNS)
    if log is None:
        return
    log = log.assign(skipped=log["skipped"].astype(str) == "True")
    by_length = log.groupby("window_length", sort=False)
    summary = pd.DataFrame(
        {"threshold": by_length["threshold"].first(), "skipped_share": by_length["skipped"].mean()}
    )
    wanted = windows[["window", "threshold", "skipped_share"]]
    compare_rows(inspection, path, summary.rename_axis("window").reset_index(), wanted, ["window"])


def _check_backbones(inspection: Inspection, facts: Mapping[str, Mapping[str, Any]]) -> str | None:
    """All adapters belong to one backbone: that of most of them. Returns its fingerprint."""
    of = {path: str(_leaf(found, "backbone.sha256")) for path, found in facts.items()}
    if not of:
        return None
    ((backbone, count),) = Counter(of.values()).most_common(1)
    for path, found in of.items():
        if found != backbone:
            inspection.mismatch(f"{path}: backbone.sha256", found, f"{backbone}, that of {count} adapters")
    return backbone


def _note_versions(inspection: Inspection, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Packages that changed between trainings are worth knowing, but no damage: reruns keep what is done."""
    versions: dict[str, Counter[str]] = {}
    for found in facts.values():
        for package, version in dict(found.get("versions") or {}).items():
            versions.setdefault(package, Counter())[version] += 1
    for package, counts in versions.items():
        if len(counts) > 1:
            words = ", ".join(f"{version} ({count})" for version, count in sorted(counts.items()))
            inspection.notes.append(f"adapters were trained with several versions of {package}: {words}")


def _check_streams(
    inspection: Inspection, path: str, concept: str, context: str, backbone: str | None
) -> None:
    metadata = _metadata(inspection, Path(path)) if inspection.there(path) else None
    drop = inspection.config.filter.drop
    trained_on = inspection.paths.training_pairs(concept, drop)
    pairs = inspection.table(trained_on, [*PAIR_COLUMNS, *SCORES] if drop else PAIR_COLUMNS)
    inspection.counts["files of streams"] += 1
    if metadata is None or pairs is None:
        return
    texts = pairs[["pair_id", "unsafe_prompt", "safe_prompt"]].itertuples(index=False, name=None)
    if backbone is not None:
        source = made_from(cast(Backbone, _Known(backbone)), list(texts))
        if metadata.get("made_from") != source:
            inspection.mismatch(f"{path}: made_from", metadata.get("made_from"), f"{source}, of the pairs")
    with safe_open(path, framework="numpy") as handle:
        shapes = {name: handle.get_slice(name).get_shape() for name in handle.keys()}  # noqa: SIM118
    shape = [len(pairs), inspection.config.image_tokens]
    wanted = dict.fromkeys(STREAM_NAMES[context], shape)  # type: ignore[index]
    if shapes != wanted:
        inspection.mismatch(path, f"streams {shapes}", wanted)


def _metadata(inspection: Inspection, path: Path) -> Mapping[str, str] | None:
    """The metadata of a safetensors file, or None where it is not there, or shorter than its header says."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as handle:
            return handle.metadata() or {}
    except (SafetensorError, OSError) as error:
        inspection.mismatch(path, f"no whole safetensors file ({str(error).splitlines()[0]})", "one")
        return None


def _adapter_facts(inspection: Inspection, path: Path, metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """What an adapter says of itself; nothing where that cannot be read."""
    try:
        facts = json.loads(metadata[KEY])
    except (KeyError, ValueError):
        inspection.mismatch(path, f"no JSON in the metadata {KEY!r}", f"what an adapter is ({FORMAT})")
        return {}
    return facts if isinstance(facts, dict) else {}


def _leaf(tree: Mapping[str, Any], key: str) -> Any:
    """The value at a key with dots, or None."""
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
