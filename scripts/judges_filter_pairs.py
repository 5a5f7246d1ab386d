"""The visual filter: which candidate pairs are kept, which are dropped and why."""

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.judges.filter import filter_pairs, judge_pairs
    from ear.judges.loading import load_judges
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    files, params = snakemake.input, snakemake.params
    judges = load_judges(params.judges, (files.judge, files.second_judge), params.device)
    verdicts = judge_pairs(files.manifest, *judges)
    candidates = read_csv(files.candidates, PAIR_COLUMNS)
    kept, dropped = filter_pairs(candidates, verdicts, params.drop)
    write_csv(snakemake.output.verdicts, verdicts)
    write_csv(snakemake.output.pairs, kept)
    write_csv(snakemake.output.dropped, dropped)
