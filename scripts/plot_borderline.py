"""The pairs of one concept whose scores are nearest to its judge's threshold."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import borderline, style

    images = borderline.pair_images(
        snakemake.input.manifest, snakemake.input.verdicts, snakemake.params.blurred
    )
    figure = borderline.draw(images, snakemake.wildcards.concept)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
