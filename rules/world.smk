# World: the mini world is drawn, and the models that experiments on it start from are trained on its pictures. What comes out, with a
# card each, is what models/ holds: docs/explanation/mini-world.md.

import os

from ear.config.recipe import parse_recipe
from ear.config.paths import Paths

recipe = read_or_exit(parse_recipe)
training = recipe.training
paths = Paths(recipe.experiment)

CARDS = [paths.model(name) for name in ("mini-backbone", "mini-liquid", "mini-classifier", "mini-clip")]
# What a recipe is run for: the models, and how their training went.
TARGETS = [*CARDS, paths.model_hashes, *(paths.figure("training", suffix) for suffix in ("png", "pdf"))]


rule draw_world:
    output:
        captions=paths.world,
    params:
        code=code("world_draw_world"),
        images=training.images,
        seed=recipe.seed,
    log:
        paths("logs/draw_world.log"),
    benchmark:
        paths("benchmarks/draw_world.tsv")
    resources:
        mem_mb=growing(2000),
    conda:
        "../envs/ear.yaml"
    message:
        f"draw {training.images} pictures of the mini world"
    script:
        "../scripts/world_draw_world.py"


rule train_vq:
    input:
        world=paths.world,
    output:
        weights=paths.vq,
        curve=paths("training/vq.csv"),
        metrics=paths("training/vq.json"),
    params:
        code=code("world_train_vq"),
        settings=training.vq.model_dump(exclude={"threads"}),
        seed=recipe.seed,
        threads=training.vq.threads,
    log:
        paths("logs/train_vq.log"),
    benchmark:
        paths("benchmarks/train_vq.tsv")
    threads: training.vq.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    conda:
        "../envs/ear.yaml"
    message:
        f"train the VQ tokenizer · {training.vq.steps} steps"
    script:
        "../scripts/world_train_vq.py"


rule train_language_model:
    input:
        world=paths.world,
        vq=paths.vq,
    output:
        model=paths.backbone,
        curve=paths("training/language_model.csv"),
        metrics=paths("training/language_model.json"),
    params:
        code=code("world_train_language_model"),
        architecture=training.architecture.model_dump(),
        training=training.language_model.model_dump(exclude={"threads"}),
        seed=recipe.seed,
        threads=training.language_model.threads,
    log:
        paths("logs/train_language_model.log"),
    benchmark:
        paths("benchmarks/train_language_model.tsv")
    threads: training.language_model.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    message:
        f"train the language model · {training.language_model.steps} steps"
    script:
        "../scripts/world_train_language_model.py"


rule train_liquid:
    input:
        world=paths.world,
        backbone="models/mini-backbone/config.json",
    output:
        model=paths.liquid,
        curve=paths("training/liquid.csv"),
        metrics=paths("training/liquid.json"),
    params:
        code=code("world_train_liquid"),
        architecture=training.architecture.model_dump(include={"hidden", "layers", "intermediate", "heads"}),
        training=training.language_model.model_dump(exclude={"threads"}) | {"steps": training.liquid_steps},
        seed=recipe.seed,
        threads=training.language_model.threads,
    log:
        paths("logs/train_liquid.log"),
    benchmark:
        paths("benchmarks/train_liquid.tsv")
    threads: training.language_model.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    message:
        f"train the mini Liquid · {training.liquid_steps} steps"
    script:
        "../scripts/world_train_liquid.py"


for judge in ("classifier", "clip"):

    rule:
        name:
            f"train_{judge}"
        input:
            world=paths.world,
        output:
            config=getattr(paths, judge),
            curve=paths(f"training/{judge}.csv"),
        params:
            code=code("world_train_judge"),
            judge=judge,
            settings=getattr(training, judge).model_dump(exclude={"threads"}),
            seed=recipe.seed,
            threads=getattr(training, judge).threads,
        log:
            paths(f"logs/train_{judge}.log"),
        benchmark:
            paths(f"benchmarks/train_{judge}.tsv")
        threads: getattr(training, judge).threads
        resources:
            mem_mb=growing(3000),
            runtime=growing(60),
        conda:
            "../envs/ear.yaml"
        message:
            f"train the {judge} judge · {getattr(training, judge).steps} steps"
        script:
            "../scripts/world_train_judge.py"


rule plot_world_training:
    input:
        curves=[paths(f"training/{name}.csv") for name in ("vq", "language_model", "classifier", "clip")],
    output:
        png=paths.figure("training"),
        pdf=paths.figure("training", "pdf"),
    params:
        code=code("world_plot_world_training"),
    log:
        paths("logs/plot_world_training.log"),
    benchmark:
        paths("benchmarks/plot_world_training.tsv")
    conda:
        "../envs/ear.yaml"
    message:
        "plot the loss curves"
    script:
        "../scripts/world_plot_world_training.py"


rule write_model_cards:
    input:
        backbone=paths.backbone,
        tokenizer_quality=paths("training/vq.json"),
        model_quality=paths("training/language_model.json"),
        liquid=paths.liquid,
        liquid_quality=paths("training/liquid.json"),
        classifier=paths.classifier,
        clip=paths.clip,
    output:
        cards=CARDS,
        hashes=paths.model_hashes,
    params:
        code=code("world_write_model_cards"),
        recipe=recipe.model_dump(),
        command=" ".join(
            [
                "snakemake",
                *(f"--configfile {os.path.relpath(path)}" for path in workflow.overwrite_configfiles),
            ]
        ),
        logs=paths("logs"),
    log:
        paths("logs/write_model_cards.log"),
    benchmark:
        paths("benchmarks/write_model_cards.tsv")
    resources:
        mem_mb=growing(2000),
    conda:
        "../envs/ear.yaml"
    message:
        "write the models and their cards"
    script:
        "../scripts/world_write_model_cards.py"
