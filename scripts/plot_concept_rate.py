"""Concept rate by method and concept."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import concept_rate, style
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = concept_rate.draw(read_csv(snakemake.input.table, METRICS_COLUMNS))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
