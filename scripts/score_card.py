"""The score card: a number an axis and method, ranks, and Pareto fronts."""

from ear.jobs import job

with job(snakemake):
    from ear.files import read_csv, write_csv, write_text
    from ear.metrics.score_card.table import score_card
    from ear.metrics.score_card.text import to_latex, to_markdown
    from ear.metrics.table import METRIC_COLUMNS

    card = score_card(read_csv(snakemake.input.metrics, METRIC_COLUMNS), snakemake.params.image_tokens)
    write_csv(snakemake.output.csv, card)
    write_text(snakemake.output.markdown, to_markdown(card))
    write_text(snakemake.output.latex, to_latex(card))
