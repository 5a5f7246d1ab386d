"""The score card, of a concept or of all."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import score_card, style
    from ear.files import read_csv
    from ear.metrics.score_card.table import CARD_COLUMNS

    card = read_csv(snakemake.input.table, CARD_COLUMNS)
    figure = score_card.draw(card, snakemake.wildcards.of.removeprefix("-") or None)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
