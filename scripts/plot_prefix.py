"""Concept rate under the prefix attack."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import prefix, style
    from ear.metrics.columns import METRICS_CSV

    figure = prefix.draw(METRICS_CSV.read(snakemake.input.table), snakemake.params.image_tokens)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
