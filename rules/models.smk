# Models: what is loaded, fetched or found in a folder or in this repository, and checked (assets.yaml).


if REHEARSED:

    rule make_stand_ins:
        output:
            lock=experiment.assets.lock_file,
        params:
            code=code("models_make_stand_ins"),
            names=experiment.used_assets,
            counts=experiment.assets.stand_ins.model_dump(),
            seed=experiment.seed,
        log:
            paths("logs/make_stand_ins.log"),
        benchmark:
            paths("benchmarks/make_stand_ins.tsv")
        resources:
            mem_mb=growing(3000),
        conda:
            "../envs/ear.yaml"
        localrule: True
        message:
            "make stand-ins of all assets: tiny, with random weights"
        script:
            "../scripts/models_make_stand_ins.py"


rule fetch_asset:
    input:
        stand_ins=experiment.assets.lock_file if REHEARSED else [],
        retrained=retrained,
    output:
        record=paths.asset("{asset}"),
    params:
        code=code("models_fetch_asset"),
        asset=lambda wildcards: CATALOGUE[wildcards.asset].model_dump(mode="json"),
        root=experiment.assets.root,
        store=experiment.assets.store,
        lock=experiment.assets.lock_file,
        stand_in=REHEARSED,
    log:
        paths("logs/fetch_asset-{asset}.log"),
    benchmark:
        paths("benchmarks/fetch_asset-{asset}.tsv")
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    localrule: True  # compute nodes often have no network
    message:
        "fetch and check {wildcards.asset}"
    script:
        "../scripts/models_fetch_asset.py"


if CANARY:

    # Does the checkpoint draw what it is known to draw? It warns, and stops nothing.
    rule draw_canary:
        input:
            backbone=BACKBONE_FILE,
        output:
            record=paths.canary,
        params:
            code=code("models_draw_canary"),
            backbone=BACKBONE,
            canary=CANARY.model_dump(),
            threads=experiment.backbone.threads,
        log:
            paths("logs/draw_canary.log"),
        benchmark:
            paths("benchmarks/draw_canary.tsv")
        threads: experiment.backbone.threads
        resources:
            **with_backbone("draw_canary", 20),
        conda:
            "../envs/ear.yaml"
        message:
            "compare the checkpoint with known image tokens"
        script:
            "../scripts/models_draw_canary.py"
