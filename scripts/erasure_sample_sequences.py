"""Token sequences of the frozen model for one (concept, seed), of one context and encoding."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear import load
    from ear.erasure.sequences import made_from, pairs_of, sample_sequences, save_sequences
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv
    from ear.workflow.seeding import stable_seed

    params, wildcards = snakemake.params, snakemake.wildcards
    pairs = pairs_of(read_csv(snakemake.input.pairs, PAIR_COLUMNS), **params.pairing)
    backbone = load(Path(snakemake.input.backbone).parent, **params.backbone)
    sequences = sample_sequences(
        backbone,
        pairs,
        wildcards.context,
        wildcards.encoding,
        seed=stable_seed(
            params.seed, int(wildcards.seed), "streams"
        ),  # a fixed word: see ear/erasure/sequences.py
        guidance=params.guidance,
        temperature=params.temperature,
        batch_size=snakemake.resources.batch_size,
    )
    save_sequences(snakemake.output.sequences, sequences, made_from(backbone, pairs))
