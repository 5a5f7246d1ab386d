"""Concept rate under attacks by the prompt."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import attacks, style
    from ear.metrics.columns import METRICS_CSV

    figure = attacks.draw(METRICS_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
