"""Concept rate at other guidance scales and temperatures."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, sweeps
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = sweeps.draw(read_csv(snakemake.input.table, METRICS_COLUMNS), snakemake.params.own)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
