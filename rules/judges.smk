# The judges: a timm classifier (object, style, fire) and an open_clip model, trained on the drawn world.


rule train_classifier:
    input:
        world=paths.world,
    output:
        config=paths.classifier,
        curve=paths("training/classifier.csv"),
    params:
        code=code("train_classifier"),
        settings=experiment.world.classifier.model_dump(),
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/train_classifier.log"),
    benchmark:
        paths("benchmarks/train_classifier.tsv")
    threads: experiment.backbone.threads
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/train_classifier.py"


rule train_clip:
    input:
        world=paths.world,
    output:
        config=paths.clip,
        curve=paths("training/clip.csv"),
    params:
        code=code("train_clip"),
        settings=experiment.world.clip.model_dump(),
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/train_clip.log"),
    benchmark:
        paths("benchmarks/train_clip.tsv")
    threads: experiment.backbone.threads
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    script:
        "../scripts/train_clip.py"
