"""Prompt pairs and evaluation prompts of one concept, checked against each other and the training set."""

from ear.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.files import read_csv, write_csv
    from ear.prompts.grammar import Grammar, general_prompts
    from ear.prompts.tables import check_prompts

    params, concept, counts = snakemake.params, snakemake.wildcards.concept, snakemake.params.counts
    grammar = Grammar(concept, params.kind, params.words, params.seed)
    pairs = grammar.pairs(counts["pairs"])
    prompts = pd.concat(
        [
            grammar.target(counts["target"]),
            grammar.retention(counts["retention"]),
            general_prompts(counts["general"], params.all_words, params.seed),
        ]
    )
    training = read_csv(snakemake.input.world, ["caption"])["caption"]
    check_prompts(concept, params.words, pairs, prompts, training)
    write_csv(snakemake.output.candidates, pairs)
    write_csv(snakemake.output.evaluation, prompts)
