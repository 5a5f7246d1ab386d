"""The declarative list of assets: what each is, where it is from, under which licence, and how big."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ear.workflow.texts import read_yaml, validated

ROOT = Path(__file__).parents[2]
"""The repository that this code is in."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Positive = Annotated[int, Field(ge=1)]
Patterns = Annotated[list[Text], Field(min_length=1)]
"""Shell patterns of paths inside of the asset's folder; * matches / too, as on the hub."""


class Section(BaseModel):
    """An entry whose keys are all known, of the right type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Hub(Section):
    """A repository of the Hugging Face hub."""

    kind: Literal["hub"]
    repo: Text = Field(description="owner/name")
    revision: Commit | None = Field(
        description="commit; null: the newest one at the first fetch, then the lock's"
    )
    files: Patterns = Field(description="what of it is fetched")


class Download(Section):
    """One file of the web, or a zip archive of which some files are kept."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    unpack: Patterns | None = Field(None, description="it is a zip archive: the members to keep")

    @property
    def file(self) -> str:
        """Name of the downloaded file."""
        return urlsplit(self.url).path.rsplit("/", 1)[1]


class Urls(Section):
    """Files of the web."""

    kind: Literal["url"]
    downloads: Annotated[list[Download], Field(min_length=1)]


class Package(Section):
    """A file inside of an installed Python package."""

    kind: Literal["package"]
    package: Text
    file: Text = Field(description="path inside of the package")


class Repository(Section):
    """A folder of this repository, of which the files that have a hash in the catalogue are the asset."""

    kind: Literal["repository"]
    folder: Text = Field(description="its path in the repository")

    @property
    def path(self) -> Path:
        """The folder."""
        return ROOT / self.folder


class Shape(Section):
    """Shape of a backbone, so that its cost is known before it is fetched."""

    family: Literal["janus", "emu3", "liquid"] = "janus"
    layers: Positive
    hidden: Positive
    intermediate: Positive
    heads: Positive
    key_value_heads: Positive | None = Field(None, description="of grouped queries; null: as many as heads")
    head_size: Positive | None = Field(None, description="width of a head; null: hidden / heads")
    image_tokens: Positive
    forced_tokens: int = Field(0, ge=0, description="tokens of an image that are read, never drawn")
    codebook: Positive
    image_size: Positive = Field(description="pixels a side")
    parameters: Positive | None = Field(None, description="weights of the model; null: by the asset's size")
    patch: Positive | None = Field(None, description="pixels of a token's side; null: images have one size")

    @property
    def sees(self) -> bool:
        """Whether the model answers questions about pictures."""
        return self.family != "emu3"

    def sized(self, image_size: int | None) -> "Shape":
        """The shape with images of another size.

        Raises:
            ValueError: the model has no such images.
        """
        if image_size is None:
            return self
        if self.patch is None:
            raise ValueError(f"found {image_size}, wanted none: the model's images have one size")
        if image_size % self.patch:
            raise ValueError(f"found {image_size}, wanted a multiple of {self.patch}")
        side = image_size // self.patch
        forced = side - 1 if self.forced_tokens else 0
        return self.model_copy(
            update={"image_size": image_size, "image_tokens": side**2, "forced_tokens": forced}
        )


class Canary(Section):
    """What a checkpoint is known to draw of one prompt: the first tokens of greedy decoding on a GPU."""

    prompt: Text
    prompt_tokens: Positive = Field(
        description="begin-of-sentence, the prompt without a template, begin-of-image"
    )
    guidance: float
    tokens: Annotated[list[int], Field(min_length=1)]
    source: Text = Field(description="where the tokens are from")


class Asset(Section):
    """One asset: a folder of files under its name."""

    title: Text
    licence: Text
    size: Positive = Field(description="bytes of its files, or of the archives that are fetched")
    approximate: bool = Field(False, description="the size is an estimate")
    source: Annotated[Hub | Urls | Package | Repository, Field(discriminator="kind")]
    needs: Patterns | None = Field(
        None, description="patterns that must each match a file; default: all that is fetched"
    )
    sha256: dict[str, Sha256 | None] = Field({}, description="file → hash; null: not known, the lock has it")
    shape: Shape | None = None
    canary: Canary | None = None

    @model_validator(mode="after")
    def _hashed(self) -> Self:
        if isinstance(self.source, Repository) and not self.sha256:
            raise ValueError("wanted sha256: what of the folder belongs to the asset, with its hashes")
        return self

    @property
    def origin(self) -> str:
        """Where it is from, for people."""
        match self.source:
            case Hub(repo=repo):
                return f"Hugging Face hub, {repo}"
            case Package(package=package, file=file):
                return f"installed Python package {package}, {file}"
            case Repository(folder=folder):
                return f"this repository, {folder}"
            case Urls(downloads=[one]):
                return one.url
            case Urls(downloads=downloads):
                return f"{downloads[0].url.rsplit('/', 1)[0]}/ ({len(downloads)} files)"

    @property
    def size_words(self) -> str:
        """Size for people: "about 14.8 GB"."""
        return ("about " if self.approximate else "") + size_in_words(self.size)

    @property
    def patterns(self) -> list[str]:
        """Patterns of the files that belong to the asset."""
        match self.source:
            case Hub(files=files):
                return files
            case Package(file=file):
                return [file.rsplit("/", 1)[-1]]
            case Repository():
                return list(self.sha256)
            case Urls(downloads=downloads):
                return [name for one in downloads for name in one.unpack or [one.file]]

    @property
    def needed(self) -> list[str]:
        """Patterns that must each match a file."""
        return self.needs or self.patterns

    @property
    def trees(self) -> list[str]:
        """Folders that archives unpack to, with a slash at the end: each is recorded by one digest."""
        if not isinstance(self.source, Urls):
            return []
        unpacked = [one.unpack or [] for one in self.source.downloads]
        return sorted({p.split("/", 1)[0] + "/" for patterns in unpacked for p in patterns if "/" in p})

    @property
    def archives(self) -> list[str]:
        """Names of archives: the lock has their hashes, the asset's folder does not keep them."""
        downloads = self.source.downloads if isinstance(self.source, Urls) else []
        return [one.file for one in downloads if one.unpack]


def load_catalogue(path: str | Path) -> dict[str, Asset]:
    """Read the list of assets (YAML, name → asset), in the order of the file.

    Raises:
        InputError: the file is missing, is not YAML, has a key twice or a wrong one.
    """
    return validated(read_yaml(path, "wanted the list of assets"), dict[Name, Asset], path)


def shapes_of(catalogue: Mapping[str, Asset]) -> dict[str, Shape]:
    """Asset → its shape; of backbones alone."""
    return {name: asset.shape for name, asset in catalogue.items() if asset.shape}


def size_in_words(count: int) -> str:
    """A number of bytes with a decimal unit: 14 850 000 000 is "14.8 GB"."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"
