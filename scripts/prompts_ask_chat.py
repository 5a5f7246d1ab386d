"""Pairs of one concept by a language model behind a chat API, recorded answers first."""

from functools import partial
from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.prompts.llm.asking import Budget, ModelSource
    from ear.prompts.llm.checks import Rules
    from ear.prompts.llm.endpoint import ChatEndpoint
    from ear.prompts.llm.recordings import Recording
    from ear.prompts.llm.templates.filling import load_template
    from ear.prompts.pairs import rejected_pairs, source_pairs, usage_row
    from ear.workflow.files import write_csv

    params, output, source = snakemake.params, snakemake.output, snakemake.wildcards.source
    rules = Rules(**params.rules)
    calls = params.calls
    result = ModelSource(
        source,
        params.asking,
        load_template(rules.kind),
        Recording(Path(calls["recordings"]) / rules.concept / f"{source}.jsonl", source, rules.concept),
        Budget(**calls["budget"], price=calls["price"]),
        partial(ChatEndpoint, f"prompts.sources.{source}", **calls["endpoint"]),
    ).pairs(rules, params.wanted)
    write_csv(output.pairs, source_pairs(rules.concept, rules.words, source, "chat", result.pairs))
    write_csv(output.rejected, rejected_pairs(source, result.rejected))
    write_csv(output.usage, usage_row(rules.concept, source, result))
