"""NudeNet detections by class, published beside reproduced."""

from ear.jobs import job

with job(snakemake):
    from ear.figures import nudity, style
    from ear.files import read_csv

    detections = read_csv(snakemake.input.table, nudity.DETECTION_COLUMNS)
    style.save(nudity.draw(detections), snakemake.output.png, snakemake.output.pdf)
