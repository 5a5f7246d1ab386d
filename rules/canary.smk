# Canary: does the checkpoint draw what it is known to draw? It warns, and stops nothing.


rule draw_canary:
    input:
        backbone=BACKBONE_FILE,
    output:
        record=paths.canary,
    params:
        code=code("draw_canary"),
        backbone=BACKBONE,
        canary=CANARY and CANARY.model_dump(),
        threads=experiment.backbone.threads,
    log:
        paths("logs/draw_canary.log"),
    benchmark:
        paths("benchmarks/draw_canary.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(BACKBONE_MB),
        runtime=growing(20),
    conda:
        "../envs/ear.yaml"
    message:
        "sample the checkpoint's canary"
    script:
        "../scripts/draw_canary.py"
