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
        code=code("read_prompts"),
        kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
        files=lambda wildcards: experiment.concepts[wildcards.concept].published.model_dump(),
        indirect=indirect_of,
    log:
        paths("logs/read_prompts-{concept}.log"),
    benchmark:
        paths("benchmarks/read_prompts-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        concept=concepts_like(lambda concept: concept.published),
    message:
        "read published prompts of {wildcards.concept}"
    script:
        "../scripts/read_prompts.py"


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
        code=code("split_prompts"),
        rules=rules_of,
        counts=experiment.prompts and experiment.prompts.model_dump(include={"target", "retention"}),
        indirect=indirect_of,
    log:
        paths("logs/split_prompts-{concept}.log"),
    benchmark:
        paths("benchmarks/split_prompts-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        concept=concepts_like(lambda concept: not concept.published),
    message:
        "split prompts of {wildcards.concept}"
    script:
        "../scripts/split_prompts.py"


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
        code=code("list_pictures"),
        utility=experiment.utility.model_dump(exclude={"features"}),
        seed=experiment.seed,
    log:
        paths("logs/list_pictures.log"),
    benchmark:
        paths("benchmarks/list_pictures.tsv")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "list COCO's pictures and captions"
    script:
        "../scripts/list_pictures.py"
