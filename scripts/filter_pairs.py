"""The visual filter: which candidate pairs are kept, which are dropped and why."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.files import read_csv, write_csv
    from ear.filtering import filter_pairs, judge_pairs
    from ear.judges.classifier import Classifier, ConceptJudge, ConceptQuestion
    from ear.prompts.tables import PAIR_COLUMNS

    classifier = Classifier.load(Path(snakemake.input.classifier).parent)
    verdicts = judge_pairs(
        snakemake.input.manifest, ConceptJudge(classifier, ConceptQuestion(**snakemake.params.judge))
    )
    candidates = read_csv(snakemake.input.candidates, PAIR_COLUMNS)
    kept, dropped = filter_pairs(candidates, verdicts, snakemake.params.drop)
    write_csv(snakemake.output.pairs, kept)
    write_csv(snakemake.output.dropped, dropped)
