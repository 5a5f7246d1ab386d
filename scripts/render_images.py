"""Images and captions of one shard of a (concept, method, seed), with the adapters of all its windows."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.axes.drawing import beginnings, of_shard, render_probes
    from ear.axes.probes import probes_of
    from ear.batching import BatchSize
    from ear.captioning import caption_shard
    from ear.erasure.windows import read_windows
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.questions import answer_shard
    from ear.render import prompts_by_window, render_prompts, shard_rows, write_manifest
    from ear.sampling import Guidance

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    shard, manifest = int(wildcards.shard), Path(snakemake.output.manifest)
    name = f"{wildcards.concept}/{wildcards.method}/seed{wildcards.seed}"

    backbone = Backbone.load(str(Path(source.backbone).parent), **params.backbone)
    windows = read_windows(source.adapters or None)
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    of_windows = (windows.own, list(windows.adapters), params.window_prompts, params.samples)
    guidance = Guidance(params.guidance, **(params.negative or {}))
    batch_size = BatchSize(snakemake.resources.batch_size)
    settings = {"guidance": guidance, "batch_size": batch_size, **params.sampling}
    probes = of_shard(probes_of(prompts, params.axes), shard, params.shards)
    begun = beginnings(backbone, probes, **settings | {"guidance": params.guidance})
    rows = []
    for window, table in prompts_by_window(prompts, *of_windows).items():
        desc = f"drawing {name}" + (f" W = {window}" if window else "")
        of_window = shard_rows(table, shard, params.shards)
        with windows.applied(backbone, window):
            rows.append(render_prompts(backbone, of_window, manifest.parent, desc=desc, **settings))
    with windows.applied(backbone, windows.own):
        rows += render_probes(
            backbone, probes, begun, manifest.parent, window=windows.own, desc=f"probing {name}", **settings
        )
        captions = caption_shard(
            backbone, source.captioned, shard, params.shards, f"captioning {name}", params.question
        )
        if params.questions:
            answers = answer_shard(
                backbone, source.captioned, *params.questions, shard, params.shards, desc=f"asking {name}"
            )
            write_csv(snakemake.output.answers, answers)
    write_csv(snakemake.output.captions, captions)
    write_manifest(manifest, rows)
