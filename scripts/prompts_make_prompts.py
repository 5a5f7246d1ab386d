"""Evaluation prompts of one concept, checked against all captions that the models may be trained on."""

from ear.workflow.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.prompts.tables import PROMPT_COLUMNS, check_prompts, general_of
    from ear.workflow.files import read_csv, write_csv
    from ear.world.grammar import Grammar
    from ear.world.sentences import captions_of

    params, concept, counts = snakemake.params, snakemake.wildcards.concept, snakemake.params.counts
    grammar = Grammar(concept, params.kind, params.words, params.seed)
    further = {"implicit": grammar.implicit, "neighbours": grammar.neighbours}
    prompts = pd.concat(
        [
            grammar.target(counts["target"]),
            grammar.retention(counts["retention"]),
            *(draw(params.further[name]) for name, draw in further.items() if params.further[name]),
            general_of(read_csv(snakemake.input.general, PROMPT_COLUMNS), params.words, params.general),
        ]
    )
    check_prompts(concept, params.words, prompts=prompts, training=captions_of("train"))
    write_csv(snakemake.output.evaluation, prompts)
