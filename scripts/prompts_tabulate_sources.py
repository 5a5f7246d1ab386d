"""What became of each source's pairs."""

from ear.workflow.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.prompts.pairs import USAGE_COLUMNS, sources_table
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    files = snakemake.input
    usage = pd.concat([read_csv(path, USAGE_COLUMNS) for path in files.usage])
    candidates, kept = (
        pd.concat([read_csv(path, PAIR_COLUMNS) for path in tables])
        for tables in (files.candidates, files.kept)
    )
    write_csv(snakemake.output[0], sources_table(usage, candidates, kept, snakemake.params.prices))
