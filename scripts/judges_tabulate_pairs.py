"""What became of the pairs: by source, in the visual filter, and how two judges of them agree."""

from ear.workflow.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.evaluation.filter_table import agreement_table, filter_table
    from ear.judges.filter import PAIR_VERDICT_COLUMNS, pair_outcomes
    from ear.prompts.pairs import USAGE_COLUMNS, sources_table
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    files, params, output = snakemake.input, snakemake.params, snakemake.output
    kept = [read_csv(path, PAIR_COLUMNS) for path in files.pairs]
    failed = [read_csv(path, [*PAIR_COLUMNS, "reason"]) for path in files.dropped]
    verdicts = [read_csv(path, PAIR_VERDICT_COLUMNS) for path in files.verdicts]
    outcomes = map(pair_outcomes, kept, failed)
    write_csv(output.filter, filter_table(dict(zip(params.concepts, outcomes, strict=True))))
    write_csv(output.agreement, agreement_table(dict(zip(params.concepts, verdicts, strict=True))))
    if files.usage:
        usage = pd.concat([read_csv(path, USAGE_COLUMNS) for path in files.usage])
        candidates = pd.concat([read_csv(path, PAIR_COLUMNS) for path in files.candidates])
        write_csv(output.sources, sources_table(usage, candidates, pd.concat(kept), params.prices))
