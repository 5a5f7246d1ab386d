"""Before/after grid of one concept: a row a prompt, a column a method."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import samples, style
    from ear.figures.images import image_table
    from ear.figures.sources import image_sources

    images = image_table(
        image_sources(
            snakemake.params.windows,
            snakemake.input.manifests,
            snakemake.input.verdicts,
            snakemake.params.blurred,
        )
    )
    figure = samples.draw(images, snakemake.wildcards.concept, snakemake.params.rows)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
