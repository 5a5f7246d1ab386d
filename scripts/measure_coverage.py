"""How many different pictures each source's pairs ask for."""

from ear.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.files import read_csv, write_csv
    from ear.prompts.checks import ASPECTS
    from ear.prompts.coverage import coverage_table, told_aspects
    from ear.prompts.tables import PAIR_COLUMNS

    files = snakemake.input
    aspects = told_aspects(read_csv(path, [*PAIR_COLUMNS, *ASPECTS]) for path in files.sources)
    tables = [
        coverage_table(concept, names, read_csv(path, PAIR_COLUMNS), aspects)
        for (concept, names), path in zip(snakemake.params.names.items(), files.candidates, strict=True)
    ]
    write_csv(snakemake.output.table, pd.concat(tables))
