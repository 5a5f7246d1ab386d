"""Images, captions and answers of one model: shards of a (concept, method, seed) or of general prompts."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear import load
    from ear.erasure.edited_weights import read_windows
    from ear.evaluation.conditions import conditions_of, render_conditions
    from ear.images.batching import BatchSize
    from ear.images.captions import answer_shard, caption_shard
    from ear.images.rendering import prompts_by_window, render_left, shard_rows
    from ear.images.sampling import Guidance
    from ear.images.tokens import read_tokens
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    source, params, output = snakemake.input, snakemake.params, snakemake.output
    folders = [Path(path).parent for path in output.manifests]
    shards = {int(folder.name.removeprefix("shard")): folder for folder in folders}
    name = "/".join(folders[0].parts[3:-1])  # below results/<experiment>/images

    backbone = load(Path(source.backbone).parent, **params.backbone)
    windows = read_windows(source.get("edited_weights") or None)
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    pairs = read_csv(source.candidates, PAIR_COLUMNS) if source.get("candidates") else None
    conditions = conditions_of(prompts, params.axes, pairs) if params.axes else []
    original = (backbone, Guidance(params.guidance), params.sampling["temperature"])
    guidance = Guidance(params.guidance, **(params.negative or {}))
    batch_size = BatchSize(snakemake.resources.batch_size)
    settings = {"guidance": guidance, "batch_size": batch_size, **params.sampling}

    rows = {shard: [] for shard in shards}
    tables = prompts_by_window(
        prompts, windows.own, list(windows.edited_weights), params.window_prompts, params.samples
    )
    for window, table in tables.items():
        settings["desc"] = f"rendering {name}" + (f" W = {window}" if window else "")
        with windows.applied(backbone, window):
            for shard, folder in shards.items():
                part = shard_rows(table, shard, params.shards)
                rows[shard].append(render_left(backbone, part, folder, source.get("shared", []), **settings))

    tokens = read_tokens(source.get("tokens", []), *original)
    settings |= {"desc": f"rendering conditions of {name}", "window": windows.own}
    with windows.applied(backbone, windows.own):
        for shard, folder in shards.items():
            part = (shard, params.shards)
            rows[shard] += render_conditions(backbone, conditions, tokens, folder, part=part, **settings)
            if output.captions:
                asked = (source.captioned, *part, f"captioning {name}", params.question)
                write_csv(folder / "captions.csv", caption_shard(backbone, *asked))
            if output.answers:
                asked = (source.captioned, *params.questions, *part, f"asking {name}")
                write_csv(folder / "answers.csv", answer_shard(backbone, *asked))
            write_csv(folder / "manifest.csv", pd.concat(rows[shard], ignore_index=True))
