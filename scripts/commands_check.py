"""What would stop the experiment here: a line for each thing looked at, and exit code 1 if anything would."""

import sys

from ear.workflow.jobs import job

with job(snakemake):
    from ear.commands.check import check_all
    from ear.config import parse_config
    from ear.models.catalogue import load_catalogue, shapes_of

    params = snakemake.params
    catalogue = load_catalogue(params.catalogue)
    config = parse_config(params.config, source="the experiment's config", shapes=shapes_of(catalogue))
    found = check_all(config, catalogue, params.memory_mb, params.slurm)
    print("\n".join(map(str, found)), flush=True)
    if any(one.level == "error" for one in found):
        sys.exit(1)
