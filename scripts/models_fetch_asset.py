"""One asset: fetched or found, checked, and linked into the experiment."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.models.catalogue import Asset
    from ear.models.fetch import fetch_asset

    params = snakemake.params
    fetch_asset(
        snakemake.wildcards.asset,
        Asset.model_validate(params.asset),
        Path(snakemake.output.record).parent,
        root=params.root,
        store=params.store,
        lock=params.lock,
        stand_ins=params.stand_in,
    )
