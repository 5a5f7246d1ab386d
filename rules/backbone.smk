# The backbone: the world is drawn, then the VQ tokenizer and the language model are trained on it.
# Most of the workflow waits for these two trainings, so they go first.


rule draw_world:
    output:
        captions=paths.world,
    params:
        code=code("draw_world"),
        images=experiment.world.images,
        seed=experiment.seed,
    log:
        paths("logs/draw_world.log"),
    benchmark:
        paths("benchmarks/draw_world.tsv")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/draw_world.py"


rule train_vq:
    input:
        world=paths.world,
    output:
        weights=paths.vq,
        curve=paths("training/vq.csv"),
        metrics=paths("training/vq.json"),
    params:
        code=code("train_vq"),
        settings=experiment.world.vq.model_dump(exclude={"threads"}),
        seed=experiment.seed,
        threads=experiment.world.vq.threads,
    log:
        paths("logs/train_vq.log"),
    benchmark:
        paths("benchmarks/train_vq.tsv")
    threads: experiment.world.vq.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    conda:
        "../envs/ear.yaml"
    priority: 1
    script:
        "../scripts/train_vq.py"


rule train_language_model:
    input:
        world=paths.world,
        vq=paths.vq,
    output:
        model=paths.backbone,
        curve=paths("training/language_model.csv"),
        metrics=paths("training/language_model.json"),
    params:
        code=code("train_language_model"),
        architecture=experiment.world.architecture.model_dump(),
        training=experiment.world.language_model.model_dump(exclude={"threads"}),
        guidance=experiment.sampling.guidance,
        seed=experiment.seed,
        threads=experiment.world.language_model.threads,
    log:
        paths("logs/train_language_model.log"),
    benchmark:
        paths("benchmarks/train_language_model.tsv")
    threads: experiment.world.language_model.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    conda:
        "../envs/ear.yaml"
    priority: 1
    script:
        "../scripts/train_language_model.py"
