"""Concept rate after benign fine-tuning."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import relearning, style
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = relearning.draw(read_csv(snakemake.input.table, METRICS_COLUMNS))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
