"""Tiny random stand-ins of the experiment's assets, with hashes of their own."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.threads):
    from ear.commands.stand_ins.make import make_stand_ins

    params = snakemake.params
    make_stand_ins(Path(snakemake.output.lock).parent, params.names, params.seed, **params.counts)
