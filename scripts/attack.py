"""Attacks on one (concept, method, seed): searched prompts, and benign fine-tuning of its weights."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear.attacks.lesson import images_of_targets, lesson_of
    from ear.attacks.relearning import relearn
    from ear.attacks.search import search
    from ear.attacks.victim import Victim
    from ear.attacks.vocabulary import vocabulary
    from ear.batching import BatchSize
    from ear.erasure.adapter import load_adapter
    from ear.erasure.windows import read_windows
    from ear.files import read_csv, write_csv
    from ear.janus import Backbone
    from ear.judges.loading import load_judges
    from ear.prompts.tables import PROMPT_COLUMNS, first_targets
    from ear.sampling import Guidance

    files, params = snakemake.input, snakemake.params
    seed, temperature = params.sampling["experiment_seed"], params.sampling["temperature"]
    backbone = Backbone.load(str(Path(files.backbone).parent), **params.backbone)
    windows = read_windows(files.adapters or None)
    judge, _ = load_judges(params.judges, [files.judge], params.backbone["device"], files.objects)
    batch_size = BatchSize(snakemake.resources.batch_size)
    drawn = (Guidance(params.guidance), temperature, seed, batch_size)  # how the original model draws
    prompts = read_csv(files.prompts, PROMPT_COLUMNS).assign(window=windows.own)
    rows = []
    if params.search:
        attacked = first_targets(prompts, params.search["prompts"])
        streams = images_of_targets(backbone, attacked, *drawn)
    if params.relearning:
        lesson = lesson_of(backbone, files.pairs, *drawn)
        training = dict(params.relearning)
        targets = first_targets(prompts, training.pop("prompts"))
    guidance = Guidance(params.guidance, **(params.negative or {}))
    victim = Victim(backbone, judge, guidance, temperature, batch_size)
    with windows.applied(backbone, windows.own):
        if params.search:
            words, budget = vocabulary(backbone, params.words, params.kind), params.search
            counts = budget["tokens"], budget["queries"]
            rows.append(search(victim, attacked, streams, words, *counts, seed, params.kind))
        if params.relearning:
            names = list(load_adapter(windows.adapters[windows.own])[0])
            rows.append(relearn(victim, names, lesson, targets, **training, experiment_seed=seed))
    write_csv(snakemake.output.verdicts, pd.concat(rows, ignore_index=True))
