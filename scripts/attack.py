"""Attacks on one (concept, method, seed): searched prompts, and benign fine-tuning of its weights."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear.attacks.relearning import relearn
    from ear.attacks.search import search, vocabulary
    from ear.attacks.victim import Victim
    from ear.batching import BatchSize
    from ear.erasure.adapter import load_adapter, read_windows
    from ear.files import read_csv, write_csv
    from ear.filtering import pair_prompts
    from ear.janus import Backbone
    from ear.judges.loading import load_judges
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, first_targets
    from ear.render import image_rows
    from ear.sampling import Guidance
    from ear.tokens import read_tokens

    files, params = snakemake.input, snakemake.params
    seed, temperature = params.sampling["experiment_seed"], params.sampling["temperature"]
    backbone = Backbone.load(str(Path(files.backbone).parent), **params.backbone)
    windows = read_windows(files.adapters or None)
    judge, _ = load_judges(params.judges, [files.judge], params.backbone["device"], files.objects)
    prompts = read_csv(files.prompts, PROMPT_COLUMNS).assign(window=windows.own)
    guidance = Guidance(params.guidance, **(params.negative or {}))
    victim = Victim(backbone, judge, guidance, temperature, BatchSize(snakemake.resources.batch_size))
    # Of the original, before an adapter is put in.
    tokens = read_tokens(files.tokens, backbone, Guidance(params.guidance), temperature)
    rows = []
    with windows.applied(backbone, windows.own):
        if params.search:
            attacked = first_targets(prompts, params.search["prompts"])
            images = tokens.of(attacked["prompt"], image_rows(attacked, seed)["seed"])
            words, budget = vocabulary(backbone, params.words, params.kind), params.search
            counts = budget["tokens"], budget["queries"]
            rows.append(search(victim, attacked, images, words, *counts, seed, params.kind))
        if params.relearning:
            training = dict(params.relearning)
            targets = first_targets(prompts, training.pop("prompts"))
            pairs = image_rows(pair_prompts(read_csv(files.pairs, PAIR_COLUMNS)), seed)
            safe = pairs[pairs["prompt_set"] == "safe"]
            names = list(load_adapter(windows.adapters[windows.own])[0])
            images = tokens.of(safe["prompt"], safe["seed"])
            lesson = (list(safe["prompt"]), images)
            rows.append(relearn(victim, names, *lesson, targets, **training, experiment_seed=seed))
    write_csv(snakemake.output.verdicts, pd.concat(rows, ignore_index=True))
