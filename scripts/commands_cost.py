"""What erasing took, on the terminal and as a table."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.commands.cost import cost_table
    from ear.workflow.files import write_csv

    params = snakemake.params
    table = cost_table(params.trained, params.logs)
    write_csv(params.record, table)
    print(table.to_string(index=False))
