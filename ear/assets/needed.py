"""Which assets an experiment needs, and whether they are there: by names of files, without a network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ear.assets.catalogue import Asset, Hub, Package, Repository
from ear.assets.lock import fetched, files_of, missing

TO_FETCH = "to fetch"


@dataclass(frozen=True)
class Needed:
    """An asset that an experiment needs, and whether it is there, in words."""

    name: str
    asset: Asset
    state: str

    @property
    def fetch(self) -> bool:
        """Whether it would be fetched from the network."""
        return self.state == TO_FETCH


def needed_assets(
    names: Iterable[str], catalogue: Mapping[str, Asset], root: str | None, store: str, stand_ins: bool
) -> list[Needed]:
    """The assets of these names; root, store and stand_ins are those of the config's section ``assets``."""
    return [
        Needed(name, catalogue[name], _state(name, catalogue[name], root, store, stand_ins)) for name in names
    ]


def _state(name: str, asset: Asset, root: str | None, store: str, stand_ins: bool) -> str:
    source = asset.source
    if root is not None and not missing(asset, files_of(asset, Path(root) / name)):
        return "in assets.root"
    if isinstance(source, Package):
        return "installed" if find_spec(source.package) else f"pip install {source.package}"
    if root is not None:
        return "made first" if stand_ins else "missing in assets.root"
    if isinstance(source, Repository):
        there = not missing(asset, files_of(asset, source.path))
        return "in this repository" if there else "missing in this repository"
    folder = Path(store) / name
    whole = fetched(folder) if isinstance(source, Hub) else not missing(asset, files_of(asset, folder))
    return "in assets.store" if whole else TO_FETCH
