"""Pairs of all sources of one concept, none with a text that is trained on or evaluated on elsewhere."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.prompts.llm.checks import Rules
    from ear.prompts.pairs import REJECTED_COLUMNS, gather_rejected, merge_pairs
    from ear.prompts.tables import PAIR_COLUMNS, check_prompts
    from ear.workflow.files import read_csv, write_csv
    from ear.world.sentences import captions_of

    files, output, rules = snakemake.input, snakemake.output, Rules(**snakemake.params.rules)
    training = set(captions_of("train"))
    taken = {*training, *captions_of("evaluation"), *captions_of("general")}
    pairs, rejected = merge_pairs([read_csv(path, PAIR_COLUMNS) for path in files.pairs], rules, taken)
    check_prompts(rules.concept, rules.words, pairs=pairs, training=training)
    write_csv(output.candidates, pairs)
    tables = [*(read_csv(path, REJECTED_COLUMNS) for path in files.rejected), rejected]
    write_csv(output.rejected, gather_rejected(tables))
