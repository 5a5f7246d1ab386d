"""The first tokens that a backbone draws, beside those that it is known to draw."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear import load
    from ear.images.canary import compare

    params = snakemake.params
    backbone = load(Path(snakemake.input.backbone).parent, **params.backbone)
    compare(backbone, params.canary, snakemake.output.record)
