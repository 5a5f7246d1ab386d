"""Distinct values of each aspect against the number of pairs."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import coverage, style
    from ear.files import read_csv

    figure = coverage.draw(read_csv(snakemake.input.table, coverage.COVERAGE_COLUMNS))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
