"""What a reviewer needs of a finished experiment, in one file: no weights, and no images but the figures."""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ear.workflow.files import atomic_path
from ear.workflow.provenance import chain, read_records

SUFFIXES = {".csv", ".json", ".md", ".tex", ".tsv"}
"""Tables, manifests with the images' hashes, verdicts, training logs, records of jobs."""
WHOLE = ("report.html", "report", "figures")
"""Packed as they are; their pictures of unsafe concepts are blurred where they are drawn."""
SENSITIVE = "sensitive-"
"""Begin of the names of files with unblurred pictures of unsafe concepts; they are left out."""

ABOUT = """\
The experiment {name}: what was measured, on what, and by which code. Weights and images are left out.

Begin with report.html. logs has a record of each job: inputs, outputs with SHA-256, parameters, packages and
device. `snakemake --configfile config.yaml` runs it again in a clone of the code with the packages of
requirements.lock.
"""


def write_archive(path: str | Path, results: Iterable[str], added: Mapping[str, str]) -> None:
    """Write what the jobs behind some results made, atomically; the same files make the same bytes.

    Args:
        path: the archive, in the experiment's folder; all that it holds is below a folder with its name.
        results: what the experiment is run for.
        added: name → text of further files.
    """
    folder, top = Path(path).parent, Path(path).name.partition(".")[0]
    contents = {name: text.encode() for name, text in added.items()}
    contents["README.txt"] = ABOUT.format(name=folder.name).encode()
    contents |= {file.relative_to(folder).as_posix(): file.read_bytes() for file in _files(folder, results)}
    with (
        atomic_path(path) as partial,
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")  # of nobody, at no time, mode 644
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _files(folder: Path, results: Iterable[str]) -> Iterator[Path]:
    """What the jobs behind the results made and left beside their logs, but for weights and images."""
    records = read_records(folder / "logs")
    for job in chain(results, records):
        outputs = [Path(path) for path in records[job]["outputs"]]
        for path in [
            *(one for one in outputs if one.is_relative_to(folder)),
            folder / f"logs/{job}.json",
            folder / f"benchmarks/{job}.tsv",
        ]:
            for file in path.rglob("*") if path.is_dir() else [path]:
                packed = file.suffix in SUFFIXES or file.relative_to(folder).parts[0] in WHOLE
                if packed and file.is_file() and not file.name.startswith((SENSITIVE, ".")):
                    yield file
