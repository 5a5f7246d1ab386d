"""Pairs of all sources of one concept, some of them held out as evaluation prompts."""

from ear.workflow.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.prompts.llm.checks import Rules
    from ear.prompts.pairs import REJECTED_COLUMNS, gather_rejected, hold_out, merge_pairs
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, check_prompts, indirect_prompts
    from ear.workflow.files import read_csv, write_csv

    params, files, output = snakemake.params, snakemake.input, snakemake.output
    rules = Rules(**params.rules)
    general = read_csv(files.general, PROMPT_COLUMNS)
    tables = [read_csv(path, PAIR_COLUMNS) for path in files.pairs]
    merged, rejected = merge_pairs(tables, rules, set(general["prompt"]))
    pairs, prompts = hold_out(merged, rules.concept, **params.counts)
    prompts = pd.concat([prompts, indirect_prompts(rules.concept, **params.indirect)])
    check_prompts(rules.concept, rules.words, pairs, prompts, training=())
    write_csv(output.candidates, pairs)
    write_csv(output.evaluation, pd.concat([prompts, general]))
    write_csv(
        output.rejected,
        gather_rejected([*(read_csv(path, REJECTED_COLUMNS) for path in files.rejected), rejected]),
    )
