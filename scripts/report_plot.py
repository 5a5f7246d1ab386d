"""One figure of the report: the module of ear/report/figures named like it reads the rule's input and draws."""

from importlib import import_module

from ear.workflow.jobs import job

with job(snakemake):
    from ear.report import style

    module = import_module(f"ear.report.figures.{snakemake.params.figure}")
    figure = module.plot(snakemake.input, snakemake.params)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
