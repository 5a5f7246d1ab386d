"""Candidate pairs of one concept, checked against the training set."""

from ear.jobs import job

with job(snakemake):
    from ear.files import read_csv, write_csv
    from ear.prompts.grammar import Grammar
    from ear.prompts.tables import check_prompts

    params, concept = snakemake.params, snakemake.wildcards.concept
    pairs = Grammar(concept, params.kind, params.words, params.seed).pairs(params.pairs)
    training = read_csv(snakemake.input.world, ["caption"])["caption"]
    check_prompts(concept, params.words, pairs=pairs, training=training)
    write_csv(snakemake.output.candidates, pairs)
