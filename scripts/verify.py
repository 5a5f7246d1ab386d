"""Is the results folder what its jobs wrote? Mismatches and their remedies; exit code 1 if there are any."""

import sys

from ear.jobs import job

with job(snakemake):
    from ear.assets.catalogue import load_catalogue, shapes_of
    from ear.config import parse_config
    from ear.integrity.verify import as_text, verify

    params = snakemake.params
    catalogue = load_catalogue(params.catalogue)
    config = parse_config(params.config, source="the experiment's config", shapes=shapes_of(catalogue))
    found = verify(config, catalogue, params.results, snakemake.threads)
    print(as_text(found, params.configfiles), flush=True)
    if found.mismatches:
        sys.exit(1)
