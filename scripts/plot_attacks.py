"""Concept rate under attacks by the prompt."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import attacks, style
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = attacks.draw(read_csv(snakemake.input.table, METRICS_COLUMNS))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
