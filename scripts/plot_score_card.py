"""The score card of all concepts."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import score_card, style
    from ear.metrics.columns import SCORE_CARD_CSV

    figure = score_card.draw(SCORE_CARD_CSV.read(snakemake.input.table))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
