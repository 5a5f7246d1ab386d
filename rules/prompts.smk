# Prompts: pairs from all sources (ECGVF, steps 1 and 2), evaluation prompts, general prompts and reference pictures.


rule ask:
    output:
        pairs=paths.source("{concept}", "{source}", "pairs.csv"),
        rejected=paths.source("{concept}", "{source}", "rejected.csv"),
        usage=paths.source("{concept}", "{source}", "usage.csv"),
    params:
        code=code("prompts_ask"),
        rules=rules_of,
        wanted=lambda wildcards: experiment.pairs_asked(wildcards.source),
        by=lambda wildcards: source_of(wildcards).by,
        asking=lambda wildcards: None if by(wildcards, "grammar") else source_of(wildcards).asks(),
        calls=calls_of,
        seed=experiment.seed,
        device=experiment.backbone.device,
        threads=lambda wildcards: experiment.backbone.threads if by(wildcards, "transformers") else None,
    log:
        paths("logs/ask-{concept}-{source}.log"),
    benchmark:
        paths("benchmarks/ask-{concept}-{source}.tsv")
    threads: experiment.backbone.threads
    resources:
        endpoint=lambda wildcards: int(by(wildcards, "chat")),
        gpu=lambda wildcards: GPU * by(wildcards, "transformers"),
        mem_mb=lambda wildcards, attempt: attempt * (20000 if by(wildcards, "transformers") else 1000),
        runtime=growing(240),
    conda:
        "../envs/ear.yaml"
    message:
        "generate pairs of {wildcards.concept} · {wildcards.source}"
    script:
        "../scripts/prompts_ask.py"


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
            "assemble prompt pairs of {wildcards.concept}"
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
            "draw held-out pictures of the mini world"
        script:
            "../scripts/prompts_draw_held_out.py"

else:

    # Prompts of experiments on photographs: published ones, held-out pairs of language models where there are none, and COCO, in
    # the tables that the mini world's grammar also fills.

    rule read_prompts:
        input:
            prompts=paths.asset("prompts"),
            public=lambda wildcards: [
                paths.asset(name) for name in experiment.concepts[wildcards.concept].prompt_assets
            ],
            general=paths.general_prompts,
        output:
            candidates=paths.candidates("{concept}"),
            evaluation=paths.evaluation_prompts("{concept}"),
        params:
            code=code("prompts_read_prompts"),
            kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
            files=lambda wildcards: experiment.concepts[wildcards.concept].published.model_dump(),
            public=lambda wildcards: {
                name: chosen.model_dump()
                for name, chosen in experiment.concepts[wildcards.concept].prompt_sets.items()
            },
            indirect=indirect_of,
        log:
            paths("logs/read_prompts-{concept}.log"),
        benchmark:
            paths("benchmarks/read_prompts-{concept}.tsv")
        conda:
            "../envs/ear.yaml"
        wildcard_constraints:
            concept=like(experiment.concepts, lambda concept: concept.published),
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
            concept=like(experiment.concepts, lambda concept: not concept.published),
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
            "choose COCO pictures and their captions"
        script:
            "../scripts/prompts_list_pictures.py"
