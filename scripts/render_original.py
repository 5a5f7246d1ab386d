"""The original model's images of a concept, shard by shard: those of general prompts are drawn already."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear.axes.drawing import beginnings, of_shard, render_probes
    from ear.axes.probes import probes_of
    from ear.batching import BatchSize
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, with_samples
    from ear.questions import answer_shard
    from ear.render import MANIFEST_COLUMNS, borrowed_rows, render_prompts, shard_rows, write_manifest
    from ear.sampling import Guidance

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    manifests = [Path(path) for path in snakemake.output.manifests]
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    all_probes = probes_of(prompts, params.axes, read_csv(source.candidates, PAIR_COLUMNS))
    images = with_samples(prompts, params.samples).assign(window=0)
    backbone = Backbone.load(str(Path(source.backbone).parent), **params.backbone)
    guidance, batch_size = Guidance(params.guidance), BatchSize(snakemake.resources.batch_size)
    for shard, manifest in enumerate(manifests):
        name = f"{wildcards.concept}/{wildcards.method}, shard {shard}"
        settings = {"guidance": guidance, "batch_size": batch_size, **params.sampling}
        wanted, probes = (
            shard_rows(images, shard, len(manifests)),
            of_shard(all_probes, shard, len(manifests)),
        )
        own = wanted[wanted["prompt_set"] != "general"]
        drawn = render_prompts(backbone, own, manifest.parent, desc=f"drawing {name}", **settings)
        if params.questions:
            about = f"asking {wildcards.concept}/{wildcards.method}, shard {shard}"
            answers = answer_shard(
                backbone, source.captioned, *params.questions, shard, len(manifests), about
            )
            write_csv(snakemake.output.answers[shard], answers)
        rows = pd.concat([drawn, borrowed_rows(source.general, manifest.parent)]).set_index("prompt_id")
        begun = beginnings(backbone, probes, **settings | {"guidance": params.guidance})
        probed = render_probes(
            backbone, probes, begun, manifest.parent, window=0, desc=f"probing {name}", **settings
        )
        plain = rows.loc[wanted["prompt_id"]].reset_index()[MANIFEST_COLUMNS]
        write_manifest(manifest, [plain, *probed])
