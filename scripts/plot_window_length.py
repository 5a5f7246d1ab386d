"""Concept rate by window length, for the methods that train them all."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, window_length
    from ear.figures.rows import WINDOW_COLUMNS
    from ear.files import read_csv

    table = read_csv(snakemake.input.table, WINDOW_COLUMNS)
    swept = table[table["method"].isin(snakemake.params.methods)]
    style.save(
        window_length.draw(swept, snakemake.params.own_windows), snakemake.output.png, snakemake.output.pdf
    )
