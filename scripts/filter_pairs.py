"""The visual filter: which candidate pairs are kept, which are dropped and why."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.files import read_csv, write_csv
    from ear.filtering import filter_pairs, judge_pairs
    from ear.judges.loading import load_judge
    from ear.prompts.tables import PAIR_COLUMNS

    params = snakemake.params
    judge = load_judge(params.judge, Path(snakemake.input.judge).parent, params.device)
    verdicts = judge_pairs(snakemake.input.manifest, judge)
    candidates = read_csv(snakemake.input.candidates, PAIR_COLUMNS)
    kept, dropped = filter_pairs(candidates, verdicts, params.drop)
    write_csv(snakemake.output.pairs, kept)
    write_csv(snakemake.output.dropped, dropped)
