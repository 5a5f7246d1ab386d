"""Verify a finished results folder: every mismatch, then a summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.errors import InputError
from ear.integrity.adapters import check_adapters
from ear.integrity.assets import check_assets
from ear.integrity.attacks import check_attacks
from ear.integrity.filtering import check_filter
from ear.integrity.images import check_images, check_pictures
from ear.integrity.inspection import Inspection
from ear.integrity.measurements import check_measurements
from ear.integrity.prompts import check_prompts
from ear.integrity.records import check_records
from ear.integrity.remedies import remedies
from ear.integrity.sources import check_sources
from ear.integrity.strays import strays
from ear.integrity.tables import check_tables
from ear.provenance import read_records


def verify(
    config: Config, catalogue: Mapping[str, Asset], pages: Sequence[str], threads: int = 1
) -> Inspection:
    """Look at all results of an experiment below the current folder.

    Outputs are compared with what their jobs recorded. What is computed again: hashes, the tables of the
    results, BLEU of the captions, the rows that one table takes from another. What only a model could tell is
    taken as it stands: that an image is what the weights draw, a judge's scores, FID and KID, the tokens of
    the streams.

    Args:
        config: of the experiment.
        catalogue: assets by name.
        pages: figures and report; they have to be there.
        threads: files hashed at once.

    Raises:
        InputError: nothing has been made yet.
    """
    inspection = Inspection(config, threads)
    paths = inspection.paths
    if not read_records(paths("logs")) and not Path(paths("images")).exists():
        raise InputError(
            f"{paths.root}: found nothing that was made, wanted a finished run: run snakemake first"
        )
    for path in [paths.reference_features, *pages]:
        inspection.there(path)
    check_records(inspection, read_records(paths("logs")), list(pages))
    check_assets(inspection, catalogue)
    check_prompts(inspection)
    check_sources(inspection)
    check_filter(inspection)
    check_pictures(inspection)
    check_images(inspection)
    check_adapters(inspection)
    check_measurements(inspection)
    check_attacks(inspection)
    check_tables(inspection)
    _note_strays(inspection, pages)
    return inspection


def _note_strays(inspection: Inspection, pages: Sequence[str]) -> None:
    """Files of what was taken out of the config are no damage."""
    if found := strays(inspection.config, pages):
        what = "1 file is" if len(found) == 1 else f"{len(found)} files are"
        inspection.notes.append(
            f"{what} of nothing that the config names, the first {found[0]}: not looked at, not archived"
        )


def as_text(inspection: Inspection, configfiles: Sequence[str] = ()) -> str:
    """One line a mismatch, one a note, one a command that repairs what was found, and the summary.

    Args:
        inspection: a finished one.
        configfiles: of the experiment; none for the default one.
    """
    lines = [*inspection.mismatches, *(f"note: {note}" for note in inspection.notes)]
    lines += [f"to repair: {command}" for command in remedies(inspection, configfiles)]
    number = len(inspection.mismatches)
    verdict = f"{number or 'no'} mismatch{'' if number == 1 else 'es'}"
    looked_at = ", ".join(f"{count} {what}" for what, count in inspection.counts.items())
    return "\n".join([*lines, f"{inspection.paths.root}: {verdict} ({looked_at})"])
