"""Histograms of the judges' scores of the pairs' images, both sides apart, for all concepts."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import filter_scores, style
    from ear.files import read_csv

    columns = ["prompt_set", "score", "threshold"]
    verdicts = [read_csv(path, columns) for path in snakemake.input.verdicts]
    figure = filter_scores.draw(dict(zip(snakemake.params.concepts, verdicts, strict=True)))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
