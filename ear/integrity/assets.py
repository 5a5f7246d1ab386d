"""Assets: what an experiment was made from is still behind its links."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ear.assets.catalogue import Asset
from ear.assets.lock import measure
from ear.integrity.inspection import Inspection
from ear.texts import read_json


def check_assets(inspection: Inspection, catalogue: Mapping[str, Asset]) -> None:
    """Check the files of all assets against the records that their jobs wrote."""
    for name in inspection.config.used_assets:
        record = inspection.paths.asset(name)
        if inspection.there(record):
            inspection.counts["assets"] += 1
            _check_asset(inspection, Path(record), name, catalogue[name])


def _check_asset(inspection: Inspection, record: Path, name: str, asset: Asset) -> None:
    try:
        files: dict[str, dict[str, Any]] = read_json(record)["files"]
        wanted = {path: str(one["sha256"]) for path, one in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        inspection.mismatch(record, "no record", "JSON with the sha256 of files")
        return
    folder = record.parent
    single = {path: digest for path, digest in wanted.items() if not path.endswith("/")}
    inspection.files([folder / path for path in single], single.values(), f"hashing {name}")
    if len(single) == len(wanted):
        return
    try:
        found = measure(asset, folder, f"hashing {name}")
    except OSError as error:  # a link that leads nowhere
        inspection.mismatch(error.filename, f"no file that can be read ({error.strerror})", "the asset's")
        return
    for path in wanted.keys() - single.keys():
        here = asdict(found[path]) if path in found else None
        if here != files[path]:
            inspection.mismatch(folder / path, here or "nothing", files[path])
