# Prompts: pairs from all sources (ECGVF, steps 1 and 2), evaluation prompts, general prompts and reference pictures.


rule ask_grammar:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("prompts_ask_grammar"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        seed=experiment.seed,
    log:
        paths("logs/ask_grammar-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask_grammar-{concept}-{source}.tsv")
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        source=sources_by("grammar"),
    message:
        "ask the grammar for pairs of {wildcards.concept}"
    script:
        "../scripts/prompts_ask_grammar.py"


rule ask_chat:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("prompts_ask_chat"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        asking=lambda wildcards: source_of(wildcards).asks(),
        calls=calls_of,
    log:
        paths("logs/ask_chat-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask_chat-{concept}-{source}.tsv")
    resources:
        endpoint=1,
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        source=sources_by("chat"),
    message:
        "ask {wildcards.source} for pairs of {wildcards.concept}"
    script:
        "../scripts/prompts_ask_chat.py"


rule ask_transformers:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("prompts_ask_transformers"),
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
        "../scripts/prompts_ask_transformers.py"


rule tabulate_sources:
    input:
        usage=[file for concept in experiment.own_prompts for file in of_sources(concept, "usage.csv")],
        candidates=[paths.candidates(concept) for concept in experiment.own_prompts],
        kept=[paths.pairs(concept) for concept in experiment.own_prompts],
    output:
        report(paths.table("sources.csv"), caption="../report/sources.rst", category="Tables"),
    params:
        code=code("prompts_tabulate_sources"),
        prices=experiment.prompts.prices() if experiment.prompts else {},
    log:
        paths("logs/tabulate_sources.log"),
    benchmark:
        paths("benchmarks/tabulate_sources.tsv")
    conda:
        "../envs/ear.yaml"
    message:
        "tabulate sources of the prompt pairs"
    script:
        "../scripts/prompts_tabulate_sources.py"


if experiment.world:

    # Prompts of the mini world: pairs of each concept from all sources, evaluation prompts from the grammar, and what all concepts
    # share: general prompts and drawn held-out pictures.

    rule make_pairs:
        input:
            pairs=lambda wildcards: of_sources(wildcards.concept, "pairs.csv"),
            rejected=lambda wildcards: of_sources(wildcards.concept, "rejected.csv"),
        output:
            candidates=paths.candidates("{concept}"),
            rejected=paths.rejected("{concept}"),
        params:
            code=code("prompts_make_pairs"),
            rules=rules_of,
        log:
            paths("logs/make_pairs-{concept}.log"),
        benchmark:
            paths("benchmarks/make_pairs-{concept}.tsv")
        conda:
            "../envs/ear.yaml"
        message:
            "choose prompt pairs of {wildcards.concept}"
        script:
            "../scripts/prompts_make_pairs.py"

    # Pairs and prompts do not wait for each other: more prompts to evaluate on train nothing again. They come from different
    # sentences of the grammar.
    rule make_prompts:
        input:
            general=paths.general_prompts,
        output:
            evaluation=paths.evaluation_prompts("{concept}"),
        params:
            code=code("prompts_make_prompts"),
            kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
            words=lambda wildcards: experiment.concepts[wildcards.concept].words,
            counts=experiment.prompts.model_dump(include={"target", "retention"}),
            further=experiment.axes.model_dump(include={"implicit", "neighbours"}),
            general=experiment.utility.general,
            seed=experiment.seed,
        log:
            paths("logs/make_prompts-{concept}.log"),
        benchmark:
            paths("benchmarks/make_prompts-{concept}.tsv")
        conda:
            "../envs/ear.yaml"
        message:
            "write evaluation prompts of {wildcards.concept}"
        script:
            "../scripts/prompts_make_prompts.py"

    rule draw_held_out:
        output:
            general=paths.general_prompts,
            reference=paths.reference,
            captions=paths.captioned,
        params:
            code=code("prompts_draw_held_out"),
            counts=experiment.utility.model_dump(include={"general", "captions"}),
            seed=experiment.seed,
        log:
            paths("logs/draw_held_out.log"),
        benchmark:
            paths("benchmarks/draw_held_out.tsv")
        conda:
            "../envs/ear.yaml"
        message:
            "draw held-out pictures"
        script:
            "../scripts/prompts_draw_held_out.py"

else:

    # Prompts of experiments on photographs: published ones, held-out pairs of language models where there are none, and COCO, in
    # the tables that the mini world's grammar also fills.

    rule read_prompts:
        input:
            prompts=paths.asset("prompts"),
            general=paths.general_prompts,
        output:
            candidates=paths.candidates("{concept}"),
            evaluation=paths.evaluation_prompts("{concept}"),
        params:
            code=code("prompts_read_prompts"),
            kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
            files=lambda wildcards: experiment.concepts[wildcards.concept].published.model_dump(),
            indirect=indirect_of,
        log:
            paths("logs/read_prompts-{concept}.log"),
        benchmark:
            paths("benchmarks/read_prompts-{concept}.tsv")
        conda:
            "../envs/ear.yaml"
        wildcard_constraints:
            concept=concepts_like(lambda concept: concept.published),
        message:
            "read published prompts of {wildcards.concept}"
        script:
            "../scripts/prompts_read_prompts.py"

    rule split_prompts:
        input:
            pairs=lambda wildcards: of_sources(wildcards.concept, "pairs.csv"),
            rejected=lambda wildcards: of_sources(wildcards.concept, "rejected.csv"),
            general=paths.general_prompts,
        output:
            candidates=paths.candidates("{concept}"),
            rejected=paths.rejected("{concept}"),
            evaluation=paths.evaluation_prompts("{concept}"),
        params:
            code=code("prompts_split_prompts"),
            rules=rules_of,
            counts=experiment.prompts and experiment.prompts.model_dump(include={"target", "retention"}),
            indirect=indirect_of,
        log:
            paths("logs/split_prompts-{concept}.log"),
        benchmark:
            paths("benchmarks/split_prompts-{concept}.tsv")
        conda:
            "../envs/ear.yaml"
        wildcard_constraints:
            concept=concepts_like(lambda concept: not concept.published),
        message:
            "split prompts of {wildcards.concept}"
        script:
            "../scripts/prompts_split_prompts.py"

    rule list_pictures:
        input:
            prompts=paths.asset("prompts"),
            images=paths.asset("coco-images"),
            captions=paths.asset("coco-captions"),
        output:
            general=paths.general_prompts,
            reference=paths.reference,
            captions=paths.captioned,
        params:
            code=code("prompts_list_pictures"),
            utility=experiment.utility.model_dump(exclude={"features"}),
            seed=experiment.seed,
        log:
            paths("logs/list_pictures.log"),
        benchmark:
            paths("benchmarks/list_pictures.tsv")
        resources:
            mem_mb=growing(2000),
        conda:
            "../envs/ear.yaml"
        message:
            "list COCO's pictures and captions"
        script:
            "../scripts/prompts_list_pictures.py"
