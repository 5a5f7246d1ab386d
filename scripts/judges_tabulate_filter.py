"""What the visual filter did with the pairs of all concepts, and how two judges of them agree."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.evaluation.filter_table import agreement_table, filter_table
    from ear.judges.filter import PAIR_VERDICT_COLUMNS, pair_outcomes
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    files, concepts = snakemake.input, snakemake.params.concepts
    kept = [read_csv(path, PAIR_COLUMNS) for path in files.pairs]
    failed = [read_csv(path, [*PAIR_COLUMNS, "reason"]) for path in files.dropped]
    verdicts = [read_csv(path, PAIR_VERDICT_COLUMNS) for path in files.verdicts]
    outcomes = map(pair_outcomes, kept, failed)
    write_csv(snakemake.output.filter, filter_table(dict(zip(concepts, outcomes, strict=True))))
    write_csv(snakemake.output.agreement, agreement_table(dict(zip(concepts, verdicts, strict=True))))
