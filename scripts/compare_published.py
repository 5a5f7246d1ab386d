"""Published values beside the reproduced ones, and which of them lie outside our intervals."""

from ear.jobs import job

with job(snakemake):
    from ear.files import read_csv, write_csv, write_text
    from ear.metrics.detections import DETECTION_TABLE_COLUMNS
    from ear.metrics.deviations import deviations, to_markdown
    from ear.metrics.table import METRIC_COLUMNS, WINDOW_COLUMNS

    table = deviations(
        read_csv(snakemake.input.metrics, METRIC_COLUMNS),
        read_csv(snakemake.input.windows, WINDOW_COLUMNS),
        read_csv(snakemake.input.detections, DETECTION_TABLE_COLUMNS),
    )
    write_csv(snakemake.output.csv, table)
    write_text(snakemake.output.markdown, to_markdown(table))
