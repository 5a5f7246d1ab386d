"""Concept rate after benign fine-tuning."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import relearning, style
    from ear.metrics.columns import METRICS_CSV

    figure = relearning.draw(METRICS_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
