"""Pairs of one concept by the grammar, or by a language model, recorded answers first."""

from functools import partial
from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.prompts.llm.checks import Rules
    from ear.prompts.pairs import rejected_pairs, source_pairs, usage_row
    from ear.workflow.files import write_csv

    params, output, source = snakemake.params, snakemake.output, snakemake.wildcards.source
    by, rules = params.by, Rules(**params.rules)
    if by == "grammar":
        from ear.world.grammar import Grammar, grammar_pairs

        grammar = Grammar(rules.concept, rules.kind, rules.words, params.seed)
        result = grammar_pairs(grammar, rules, params.wanted)
    else:
        from ear.prompts.llm.asking import Budget, ModelSource
        from ear.prompts.llm.recordings import Recording
        from ear.prompts.llm.templates.filling import load_template

        calls, key = params.calls, f"prompts.sources.{source}"
        if by == "chat":
            from ear.prompts.llm.endpoint import ChatEndpoint

            budget = Budget(**calls["budget"], price=calls["price"])
            model = partial(ChatEndpoint, key, **calls["endpoint"])
        else:
            from ear.prompts.llm.local import LocalModel

            budget = Budget()
            model = partial(LocalModel, key, device=params.device)
        result = ModelSource(
            source,
            params.asking,
            load_template(rules.kind),
            Recording(Path(calls["recordings"]) / rules.concept / f"{source}.jsonl", source, rules.concept),
            budget,
            model,
        ).pairs(rules, params.wanted)
    write_csv(output.pairs, source_pairs(rules.concept, rules.words, source, by, result.pairs))
    write_csv(output.rejected, rejected_pairs(source, result.rejected))
    write_csv(output.usage, usage_row(rules.concept, source, result))
