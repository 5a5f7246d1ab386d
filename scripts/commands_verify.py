"""Is the results folder what its jobs wrote? Mismatches and their remedies; exit code 1 if there are any."""

import sys

from ear.workflow.jobs import job

with job(snakemake):
    from ear.commands.verify import as_text, verify
    from ear.config import parse_config
    from ear.models.catalogue import load_catalogue, shapes_of

    params = snakemake.params
    catalogue = load_catalogue(params.catalogue)
    config = parse_config(params.config, source="the experiment's config", shapes=shapes_of(catalogue))
    found = verify(config, catalogue, params.results, snakemake.threads)
    print(as_text(found, params.configfiles), flush=True)
    if found.mismatches:
        sys.exit(1)
