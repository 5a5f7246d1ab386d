"""Published values beside the reproduced ones, and which of them lie outside our intervals."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.evaluation.columns import DETECTION_COUNTS_CSV, WINDOW_LENGTH_CSV
    from ear.evaluation.deviations import deviations
    from ear.workflow.files import write_csv

    table = deviations(
        WINDOW_LENGTH_CSV.read(snakemake.input.windows),
        DETECTION_COUNTS_CSV.read(snakemake.input.detections),
    )
    write_csv(snakemake.output.csv, table)
