"""Yes or no: the concept against other things."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, understanding
    from ear.metrics.columns import METRICS_CSV

    figure = understanding.draw(METRICS_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
