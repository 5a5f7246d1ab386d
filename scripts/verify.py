"""Is the results folder what its jobs wrote? Mismatches and their remedies; exit code 1 if there are any."""

import sys

from ear.jobs import job

with job(snakemake):
    from ear.assets.catalogue import load_catalogue
    from ear.config import parse_config
    from ear.integrity.verify import as_text, verify

    params = snakemake.params
    catalogue = load_catalogue(params.catalogue)
    shapes = {name: asset.shape for name, asset in catalogue.items() if asset.shape}
    config = parse_config(params.config, source="the experiment's config", shapes=shapes)
    inspection = verify(config, catalogue, params.pages, snakemake.threads)
    print(as_text(inspection, params.configfiles), flush=True)
    if inspection.mismatches:
        sys.exit(1)
