"""Concept rate by window length, for the methods that train them all, beside published values if wanted."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, window_length
    from ear.figures.rows import WINDOW_COLUMNS
    from ear.files import read_csv
    from ear.published import WINDOW_LENGTH

    table = read_csv(snakemake.input.table, WINDOW_COLUMNS)
    swept = table[table["method"].isin(snakemake.params.methods)]
    published = WINDOW_LENGTH if snakemake.params.published else ()
    figure = window_length.draw(swept, snakemake.params.own_windows, published)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
