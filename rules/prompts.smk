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
        code=code("make_pairs"),
        rules=rules_of,
    log:
        paths("logs/make_pairs-{concept}.log"),
    benchmark:
        paths("benchmarks/make_pairs-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "choose prompt pairs of {wildcards.concept}"
    script:
        "../scripts/make_pairs.py"


# Pairs and prompts do not wait for each other: more prompts to evaluate on train nothing again. They come from different
# sentences of the grammar.
rule make_prompts:
    input:
        general=paths.general_prompts,
    output:
        evaluation=paths.evaluation_prompts("{concept}"),
    params:
        code=code("make_prompts"),
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
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "write evaluation prompts of {wildcards.concept}"
    script:
        "../scripts/make_prompts.py"


rule draw_held_out:
    output:
        general=paths.general_prompts,
        reference=paths.reference,
        captions=paths.captioned,
    params:
        code=code("draw_held_out"),
        counts=experiment.utility.model_dump(include={"general", "captions"}),
        seed=experiment.seed,
    log:
        paths("logs/draw_held_out.log"),
    benchmark:
        paths("benchmarks/draw_held_out.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "draw held-out pictures"
    script:
        "../scripts/draw_held_out.py"
