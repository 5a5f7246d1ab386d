# Erase: token streams of the frozen model, then fine-tuning. One job trains all windows of a (concept, method, seed), or of
# several concepts that a method erases together, whose windows are the same.


rule sample_streams:
    input:
        backbone=BACKBONE_FILE,
        pairs=paths.training_pairs("{concept}", experiment.filter.drop),
    output:
        streams=paths.streams("{concept}", "{seed}", "{context}", "{encoding}"),
    params:
        code=code("sample_streams"),
        backbone=BACKBONE,
        guidance=experiment.sampling.guidance,
        temperature=experiment.sampling.temperature,
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/sample_streams-{concept}-{seed}-{context}-{encoding}.log"),
    benchmark:
        paths("benchmarks/sample_streams-{concept}-{seed}-{context}-{encoding}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(BACKBONE_MB),
        runtime=planned("sample_streams-{concept}-{seed}-{context}-{encoding}", 30),
        batch_size=experiment.rendering.batch_size,
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        context="none|independent|aligned|mixed",
        encoding="raw|chat",
    message:
        "sample token sequences of {wildcards.concept} · {wildcards.encoding} prompts · {wildcards.context} context · seed {wildcards.seed}"
    script:
        "../scripts/sample_streams.py"


rule erase:
    input:
        backbone=BACKBONE_FILE,
        pairs=pairs_of,
        streams=streams_of,
    output:
        adapter=paths.run("erased", "{erased}", "{method}", "{seed}", "adapter.safetensors"),
        training=paths.run("erased", "{erased}", "{method}", "{seed}", "training.csv"),
        windows=paths.run("erased", "{erased}", "{method}", "{seed}", "windows.csv"),
    params:
        code=code("erase"),
        backbone=BACKBONE,
        settings=lambda wildcards: asdict(experiment.settings(first_erased(wildcards), wildcards.method)),
        windows=lambda wildcards: experiment.trained_windows(first_erased(wildcards), wildcards.method),
        others=lambda wildcards: [
            experiment.also_erased(concept, wildcards.method) for concept in wildcards.erased.split(TOGETHER)
        ],
        seed=experiment.seed,
        threads=experiment.backbone.threads,
    log:
        paths("logs/erase-{erased}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/erase-{erased}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(BACKBONE_MB),
        runtime=planned("erase-{erased}-{method}-{seed}", 120),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        erased="|".join(map(re.escape, {experiment.adapter(run)[0] for run in experiment.runs()})),
        method=TRAINED,
    message:
        "erase {wildcards.erased} · {wildcards.method} · W = {params.windows} · seed {wildcards.seed}"
    script:
        "../scripts/erase.py"


rule import_published:
    input:
        backbone=BACKBONE_FILE,
        weights=paths.asset("ear-weights"),
    output:
        adapter=paths.run("erased", "{concept}", "{method}", "{seed}", "adapter.safetensors"),
        windows=paths.run("erased", "{concept}", "{method}", "{seed}", "windows.csv"),
    params:
        code=code("import_published"),
        backbone=BACKBONE,
        pattern=lambda wildcards: experiment.methods[wildcards.method].weights[wildcards.concept],
        window=lambda wildcards: experiment.method_window(wildcards.concept, wildcards.method),
        threads=experiment.backbone.threads,
    log:
        paths("logs/import_published-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/import_published-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(BACKBONE_MB),
        runtime=growing(30),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=IMPORTED,
    message:
        "import published weights of {wildcards.concept} · {wildcards.method}"
    script:
        "../scripts/import_published.py"
