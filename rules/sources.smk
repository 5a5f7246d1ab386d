# Sources of prompt pairs (ECGVF, steps 1 and 2): the grammar, language models behind a chat API, and those that transformers runs.
# A job a (concept, source). What a model answers is recorded outside of the results, and read from there before anything is asked.


rule ask_grammar:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("ask_grammar"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        seed=experiment.seed,
    log:
        paths("logs/ask_grammar-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask_grammar-{concept}-{source}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        source=sources_by("grammar"),
    message:
        "ask the grammar for pairs of {wildcards.concept}"
    script:
        "../scripts/ask_grammar.py"


rule ask_chat:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("ask_chat"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        asking=lambda wildcards: source_of(wildcards).asks(),
        calls=calls_of,
    log:
        paths("logs/ask_chat-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask_chat-{concept}-{source}.tsv")
    threads: 1
    resources:
        endpoint=1,
        mem_mb=growing(1000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        source=sources_by("chat"),
    message:
        "ask {wildcards.source} for pairs of {wildcards.concept}"
    script:
        "../scripts/ask_chat.py"


rule ask_transformers:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("ask_transformers"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        asking=lambda wildcards: source_of(wildcards).asks(),
        recordings=lambda wildcards, resources: experiment.prompts.recordings,
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/ask_transformers-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask_transformers-{concept}-{source}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(20000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        source=sources_by("transformers"),
    message:
        "ask {wildcards.source} for pairs of {wildcards.concept}"
    script:
        "../scripts/ask_transformers.py"


rule tabulate_sources:
    input:
        usage=[file for concept in experiment.own_prompts for file in of_sources(concept, "usage.csv")],
        candidates=[paths.candidates(concept) for concept in experiment.own_prompts],
        kept=[paths.pairs(concept) for concept in experiment.own_prompts],
    output:
        report(paths.table("sources.csv"), caption="../report/sources.rst", category="Tables"),
    params:
        code=code("tabulate_sources"),
        prices=experiment.prompts.prices() if experiment.prompts else {},
    log:
        paths("logs/tabulate_sources.log"),
    benchmark:
        paths("benchmarks/tabulate_sources.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "tabulate sources of the prompt pairs"
    script:
        "../scripts/tabulate_sources.py"
