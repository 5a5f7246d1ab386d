"""What a reviewer needs of a finished experiment, in one file: no weights, and no images but the figures."""

import gzip
import io
import tarfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from ear.files import atomic_path

SUFFIXES = {".csv", ".json", ".md", ".tex", ".tsv"}
"""Tables, manifests with the images' hashes, verdicts, training logs, records of jobs."""
WHOLE = ("report.html", "report", "figures")
"""Kept as they are; their pictures of unsafe concepts are blurred where they are drawn."""
SENSITIVE = "report/sensitive-"
"""Begin of the names of files with unblurred pictures of unsafe concepts; they are left out."""
LEFT_OUT = {"export", "logs/archive.json", "benchmarks/archive.tsv"}
"""Models, and what the archive's own job leaves: packed again, it is the same file."""

ABOUT = """\
The experiment {name}: what was measured, on what, and by which code. Weights and images are left out.

report.html         figures, tables and samples; begin here
report              pictures that the page loads when asked for; none that its page shows blurred
config.yaml         the experiment: `snakemake --configfile config.yaml` in a clone of the code runs it again
requirements.lock   the packages that it ran on
provenance.json     commit, packages, device, and the jobs behind each figure and table
tables, figures     the results
prompts, ecgvf      prompts, and the pairs that the visual filter kept and dropped
images              manifests: prompt, seed and SHA-256 of each image
erased              training logs; windows.csv has the SHA-256 of each adapter
evaluation          a row an image with the judge's verdict, and the scores of each run
attacks             a row an attacked prompt with the judge's verdict
logs                a record a job: inputs, outputs with SHA-256, parameters
"""


def archived(folder: Path) -> Iterator[Path]:
    """Files of an experiment's folder that go into the archive, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        place = name.parts
        if not path.is_file() or {place[0], str(name)} & LEFT_OUT or any(part[0] == "." for part in place):
            continue
        if name.as_posix().startswith(SENSITIVE):
            continue
        if place[0] in WHOLE or path.suffix in SUFFIXES:
            yield path


def write_archive(
    path: str | Path, folder: str | Path, added: Mapping[str, str], left_out: Container[Path] = ()
) -> None:
    """Write a .tar.gz of an experiment, atomically. The same files make the same bytes, whatever their times.

    Args:
        path: the archive; everything in it is below a folder with its name.
        folder: of the experiment.
        added: name → text of further files.
        left_out: paths of files below the folder that are not of the experiment as it is now.
    """
    folder, top = Path(folder), Path(path).name.partition(".")[0]
    contents = {name: text.encode() for name, text in added.items()}
    contents["README.txt"] = ABOUT.format(name=folder.name).encode()
    with (
        atomic_path(path) as partial,
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(contents.items()):
            _add(archive, f"{top}/{name}", content)
        for source in archived(folder):
            if source not in left_out:
                _add(archive, f"{top}/{source.relative_to(folder)}", source.read_bytes())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # of nobody, at no time, mode 644
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
