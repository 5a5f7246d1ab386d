"""Concept rate at other guidance scales and temperatures."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, sweeps
    from ear.metrics.columns import METRICS_CSV

    figure = sweeps.draw(METRICS_CSV.read(snakemake.input.table), snakemake.params.own)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
