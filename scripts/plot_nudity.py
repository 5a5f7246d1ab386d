"""NudeNet detections by class, published beside reproduced."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import nudity, style
    from ear.metrics.columns import DETECTION_COUNTS_CSV

    detections = DETECTION_COUNTS_CSV.read(snakemake.input.table)
    style.save(nudity.draw(detections), snakemake.output.png, snakemake.output.pdf)
