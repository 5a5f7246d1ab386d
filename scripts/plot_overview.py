"""All concepts side by side, the original beside one method."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import overview, style
    from ear.figures.images import image_table
    from ear.figures.sources import sources_by_concept

    sources = sources_by_concept(
        snakemake.params.windows,
        snakemake.input.manifests,
        snakemake.input.verdicts,
        snakemake.params.blurred,
    )
    images = {concept: image_table(of_concept) for concept, of_concept in sources.items()}
    figure = overview.draw(images, snakemake.params.method)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
