"""Verify a finished results folder: every mismatch, then a summary."""

from collections.abc import Mapping, Sequence

from ear.assets.catalogue import Asset
from ear.config import Config
from ear.integrity.adapters import check_adapters
from ear.integrity.assets import check_assets
from ear.integrity.attacks import check_attacks
from ear.integrity.filtering import check_filter
from ear.integrity.images import check_images, check_pictures
from ear.integrity.inspection import Inspection
from ear.integrity.measurements import check_measurements
from ear.integrity.prompts import check_prompts
from ear.integrity.records import check_records
from ear.integrity.sources import check_sources
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
    """
    inspection = Inspection(config, threads)
    paths = inspection.paths
    models = [paths.world, paths.vq, paths.backbone, paths.classifier, paths.clip] if config.world else []
    for path in [*models, paths.reference_features, *pages]:
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
    return inspection


def as_text(inspection: Inspection) -> str:
    """One line a mismatch, one a note, and the summary."""
    lines = [*inspection.mismatches, *(f"note: {note}" for note in inspection.notes)]
    number = len(inspection.mismatches)
    verdict = f"{number or 'no'} mismatch{'' if number == 1 else 'es'}"
    looked_at = ", ".join(f"{count} {what}" for what, count in inspection.counts.items())
    return "\n".join([*lines, f"{inspection.paths.root}: {verdict} ({looked_at})"])
