"""One figure of the report, by a function of a module of ear/report/figures."""

from importlib import import_module

from ear.workflow.jobs import job

with job(snakemake):
    from ear.report import style

    module, function = snakemake.params.figure.split(".")
    plot = getattr(import_module(f"ear.report.figures.{module}"), function)
    figure = plot(snakemake.input, snakemake.params)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
