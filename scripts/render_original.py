"""The original model's images of a concept, shard by shard: those of general prompts are drawn already."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear.batching import BatchSize
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.questions import answer_shard
    from ear.render import MANIFEST_COLUMNS, borrowed_rows, render_prompts, shard_rows, write_manifest
    from ear.sampling import Guidance

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    manifests = [Path(path) for path in snakemake.output.manifests]
    prompts = read_csv(source.prompts, PROMPT_COLUMNS).assign(window=0)
    backbone = Backbone.load(str(Path(source.backbone).parent), **params.backbone)
    for shard, manifest in enumerate(manifests):
        of_shard = shard_rows(prompts, shard, len(manifests))
        drawn = render_prompts(
            backbone,
            of_shard[of_shard["prompt_set"] != "general"],
            manifest.parent,
            guidance=Guidance(params.guidance),
            batch_size=BatchSize(snakemake.resources.batch_size),
            desc=f"drawing {wildcards.concept}/{wildcards.method}, shard {shard}",
            **params.sampling,
        )
        if params.questions:
            about = f"asking {wildcards.concept}/{wildcards.method}, shard {shard}"
            answers = answer_shard(
                backbone, source.captioned, *params.questions, shard, len(manifests), about
            )
            write_csv(snakemake.output.answers[shard], answers)
        rows = pd.concat([drawn, borrowed_rows(source.general, manifest.parent)]).set_index("prompt_id")
        write_manifest(manifest, [rows.loc[of_shard["prompt_id"]].reset_index()[MANIFEST_COLUMNS]])
