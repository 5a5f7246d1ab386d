"""Concept rate by method and concept."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import concept_rate, style
    from ear.metrics.columns import METRICS_CSV

    figure = concept_rate.draw(METRICS_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
