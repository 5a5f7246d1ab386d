"""Images, captions and answers of one model: shards of a (concept, method, seed) or of general prompts."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.axes.drawing import of_shard, render_probes
    from ear.axes.probes import probes_of
    from ear.batching import BatchSize
    from ear.captioning import caption_shard
    from ear.erasure.adapter import read_windows
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
    from ear.questions import answer_shard
    from ear.render import (
        borrowed_rows,
        in_order,
        prompts_by_window,
        render_prompts,
        shard_rows,
        write_manifest,
    )
    from ear.sampling import Guidance
    from ear.tokens import read_tokens

    source, params, output = snakemake.input, snakemake.params, snakemake.output
    folders = [Path(path).parent for path in output.manifests]
    shards = {int(folder.name.removeprefix("shard")): folder for folder in folders}
    name = "/".join(folders[0].parts[3:-1])  # below results/<experiment>/images

    backbone = Backbone.load(str(Path(source.backbone).parent), **params.backbone)
    windows = read_windows(source.adapters or None)
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    pairs = read_csv(source.candidates, PAIR_COLUMNS) if source.candidates else None
    probes = probes_of(prompts, params.axes, pairs) if params.axes else []
    original = (backbone, Guidance(params.guidance), params.sampling["temperature"])
    guidance = Guidance(params.guidance, **(params.negative or {}))
    batch_size = BatchSize(snakemake.resources.batch_size)
    settings = {"guidance": guidance, "batch_size": batch_size, **params.sampling}

    rows = {shard: [] for shard in shards}
    own, others = windows.own, list(windows.adapters)
    tables = prompts_by_window(prompts, own, others, params.window_prompts, params.samples)
    for window, table in tables.items():
        desc = f"rendering {name}" + (f" W = {window}" if window else "")
        with windows.applied(backbone, window):
            for shard, folder in shards.items():
                wanted = shard_rows(table, shard, params.shards)
                shared = borrowed_rows(source.shared, folder)  # of the same model, by other jobs
                left = wanted[~wanted["prompt_id"].isin(shared["prompt_id"])]
                rendered = render_prompts(backbone, left, folder, desc=desc, **settings)
                rows[shard].append(in_order(wanted, [rendered, shared]))

    tokens = read_tokens(source.tokens, *original)
    with windows.applied(backbone, own):
        for shard, folder in shards.items():
            part = (shard, params.shards)
            desc = f"rendering conditions of {name}"
            own_probes = of_shard(probes, *part)
            rows[shard] += render_probes(
                backbone, own_probes, tokens, folder, window=own, desc=desc, **settings
            )
            if output.captions:
                desc = f"captioning {name}"
                captions = caption_shard(backbone, source.captioned, *part, desc, params.question)
                write_csv(folder / "captions.csv", captions)
            if output.answers:
                desc = f"asking {name}"
                answers = answer_shard(backbone, source.captioned, *params.questions, *part, desc=desc)
                write_csv(folder / "answers.csv", answers)
            write_manifest(folder / "manifest.csv", rows[shard])
