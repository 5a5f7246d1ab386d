"""Before/after grid of one concept: a row a prompt, a column a method."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import samples, style
    from ear.figures.images import image_table
    from ear.figures.sources import image_sources
    from ear.metrics.cautions import cautions, measures_of_run

    source, params = snakemake.input, snakemake.params
    images = image_table(image_sources(params.windows, source.manifests, source.verdicts, params.blurred))
    runs = zip(source.scores, source.verdicts, params.windows.values(), strict=True)
    measured = {name: measures_of_run(*run) for name, run in zip(params.windows, runs, strict=True)}
    figure = samples.draw(images, snakemake.wildcards.concept, params.rows, cautions=cautions(measured))
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
