"""What erasing took, on the terminal and as a table."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.erasure.cost import cost_table
    from ear.errors import InputError
    from ear.workflow.files import write_csv

    params = snakemake.params
    table = cost_table(params.trained, params.logs)
    if table.empty:
        raise InputError(f"{params.logs}: found no finished job of erase, wanted one: run snakemake first")
    write_csv(params.record, table)
    print(table.to_string(index=False))
