"""Concept rate by window length, for the methods that train them all, beside published values if wanted."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import style, window_length
    from ear.metrics.columns import WINDOW_LENGTH_CSV
    from ear.published import WINDOW_LENGTH

    table = WINDOW_LENGTH_CSV.read(snakemake.input.table)
    swept = table[table["method"].isin(snakemake.params.methods)]
    published = WINDOW_LENGTH if snakemake.params.published else ()
    figure = window_length.draw(swept, snakemake.params.own_windows, published)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
