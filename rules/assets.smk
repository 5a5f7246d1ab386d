# Assets: models and published data, fetched or found in a folder or in this repository, and checked. See assets.yaml.

if REHEARSED:

    rule make_stand_ins:
        output:
            lock=experiment.assets.lock_file,
        params:
            code=code("make_stand_ins"),
            names=experiment.used_assets,
            counts=experiment.assets.stand_ins.model_dump(),
            seed=experiment.seed,
        log:
            paths("logs/make_stand_ins.log"),
        benchmark:
            paths("benchmarks/make_stand_ins.tsv")
        threads: 1
        resources:
            mem_mb=growing(3000),
            runtime=growing(10),
        conda:
            "../envs/ear.yaml"
        localrule: True
        message:
            "make stand-ins of all assets: tiny, with random weights"
        script:
            "../scripts/make_stand_ins.py"


rule fetch_asset:
    input:
        stand_ins=experiment.assets.lock_file if REHEARSED else [],
        retrained=retrained,
    output:
        record=paths.asset("{asset}"),
    params:
        code=code("fetch_asset"),
        asset=lambda wildcards: CATALOGUE[wildcards.asset].model_dump(mode="json"),
        root=experiment.assets.root,
        store=experiment.assets.store,
        lock=experiment.assets.lock_file,
        stand_in=REHEARSED,
    log:
        paths("logs/fetch_asset-{asset}.log"),
    benchmark:
        paths("benchmarks/fetch_asset-{asset}.tsv")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    localrule: True  # compute nodes often have no network
    message:
        "fetch {wildcards.asset}"
    script:
        "../scripts/fetch_asset.py"
