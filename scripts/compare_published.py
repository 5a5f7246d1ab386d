"""Published values beside the reproduced ones, and which of them lie outside our intervals."""

from ear.jobs import job

with job(snakemake):
    from ear.files import write_csv
    from ear.metrics.columns import DETECTION_COUNTS_CSV, METRICS_CSV, WINDOW_LENGTH_CSV
    from ear.metrics.deviations import deviations

    table = deviations(
        METRICS_CSV.read(snakemake.input.metrics),
        WINDOW_LENGTH_CSV.read(snakemake.input.windows),
        DETECTION_COUNTS_CSV.read(snakemake.input.detections),
    )
    write_csv(snakemake.output.csv, table)
