"""Concept rate under the prefix attack."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import prefix, style
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = prefix.draw(read_csv(snakemake.input.table, METRICS_COLUMNS), snakemake.params.image_tokens)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
