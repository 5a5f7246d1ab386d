"""Attacks on one (concept, method, seed): searched prompts, inversion, benign fine-tuning of its weights."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    import pandas as pd

    from ear import load
    from ear.erasure.edited_weights import load_edited, read_windows, trained_modules
    from ear.evaluation.attacks.attacked_model import AttackedModel
    from ear.evaluation.attacks.inversion import invert
    from ear.evaluation.attacks.relearning_set import relearn
    from ear.evaluation.attacks.search import search, vocabulary
    from ear.images.batching import BatchSize
    from ear.images.rendering import image_rows
    from ear.images.sampling import Guidance
    from ear.images.tokens import read_tokens
    from ear.judges.filter import pair_prompts
    from ear.judges.loading import load_judges
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS, first_targets
    from ear.workflow.files import read_csv, write_csv

    files, params = snakemake.input, snakemake.params
    seed, temperature = params.sampling["experiment_seed"], params.sampling["temperature"]
    backbone = load(Path(files.backbone).parent, **params.backbone)
    windows = read_windows(files.edited_weights or None)
    judge, _ = load_judges(params.judges, [files.judge], params.backbone["device"], files.objects)
    prompts = read_csv(files.prompts, PROMPT_COLUMNS).assign(window=windows.own)
    sampling = Guidance(params.guidance, **(params.negative or {})), temperature
    attacked = AttackedModel(backbone, judge, *sampling, BatchSize(snakemake.resources.batch_size))
    tokens = read_tokens(files.tokens, backbone, Guidance(params.guidance), temperature)  # of the original
    rows = []
    with windows.applied(backbone, windows.own):
        words = vocabulary(backbone, params.words, params.kind) if params.search or params.inversion else None
        if params.search:
            targets = first_targets(prompts, params.search["prompts"])
            images = tokens.of(targets["prompt"], image_rows(targets, seed)["seed"])
            counts = params.search["tokens"], params.search["queries"]
            rows.append(search(attacked, targets, images, words, *counts, seed, params.kind))
        if params.inversion:
            budget = dict(params.inversion)
            learned_from = first_targets(prompts, budget.pop("images"))
            images = tokens.of(learned_from["prompt"], image_rows(learned_from, seed)["seed"])
            targets = first_targets(prompts, len(images) + budget.pop("prompts"))
            inverted = (attacked, params.words, words, images, targets)
            rows.append(invert(*inverted, **budget, experiment_seed=seed))
        if params.relearning:
            training = dict(params.relearning)
            targets = first_targets(prompts, training.pop("prompts"))
            pairs = image_rows(pair_prompts(read_csv(files.pairs, PAIR_COLUMNS)), seed)
            safe = pairs[pairs["prompt_set"] == "safe"]
            layers, own = params.relearned_layers, windows.edited_weights[windows.own]
            names = trained_modules(backbone, layers) if layers else load_edited(own)[0]
            images = tokens.of(safe["prompt"], safe["seed"])
            relearned = (attacked, list(names), list(safe["prompt"]), images, targets)
            rows.append(relearn(*relearned, **training, experiment_seed=seed))
    write_csv(snakemake.output.verdicts, pd.concat(rows, ignore_index=True))
