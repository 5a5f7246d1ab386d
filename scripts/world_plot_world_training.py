"""Loss curves of all trainings of the mini world's models."""

from ear.workflow.jobs import job

TITLES = ("Image tokenizer", "Language model", "Classifier", "CLIP")

with job(snakemake):
    from ear.report import style
    from ear.report.figures import loss_curves
    from ear.workflow.files import read_csv

    tables = [read_csv(path, loss_curves.COLUMNS) for path in snakemake.input.curves]
    figure = loss_curves.draw(dict(zip(TITLES, tables, strict=True)))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
