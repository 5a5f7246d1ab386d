"""Erasure against retention."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, tradeoff
    from ear.metrics.columns import METRICS_CSV

    figure = tradeoff.draw(METRICS_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
