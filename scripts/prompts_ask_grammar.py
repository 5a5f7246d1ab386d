"""Pairs of one concept by the mini world's grammar."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.prompts.llm.checks import Rules
    from ear.prompts.pairs import rejected_pairs, source_pairs, usage_row
    from ear.workflow.files import write_csv
    from ear.workflow.seeding import GRAMMAR
    from ear.world.grammar import Grammar, grammar_pairs

    params, output, source = snakemake.params, snakemake.output, snakemake.wildcards.source
    rules = Rules(**params.rules)
    grammar = Grammar(rules.concept, rules.kind, rules.words, params.seed)
    result = grammar_pairs(grammar, rules, params.wanted)
    write_csv(output.pairs, source_pairs(rules.concept, rules.words, source, GRAMMAR, result.pairs))
    write_csv(output.rejected, rejected_pairs(source, result.rejected))
    write_csv(output.usage, usage_row(rules.concept, source, result))
