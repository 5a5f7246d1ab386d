"""The score card: a number an axis and method, and the Pareto front."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.evaluation.columns import METRICS_CSV
    from ear.evaluation.score_card import score_card, to_latex
    from ear.workflow.files import write_csv, write_text

    card = score_card(METRICS_CSV.read(snakemake.input.metrics), snakemake.params.image_tokens)
    write_csv(snakemake.output.csv, card)
    write_text(snakemake.output.latex, to_latex(card))
