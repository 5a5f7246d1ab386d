"""Yes or no: the concept against other things."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, understanding
    from ear.figures.rows import METRICS_COLUMNS
    from ear.files import read_csv

    figure = understanding.draw(read_csv(snakemake.input.table, METRICS_COLUMNS))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
