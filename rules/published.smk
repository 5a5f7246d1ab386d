# Published prompts and COCO, in the tables that the mini world's grammar also fills.


rule read_prompts:
    input:
        prompts=paths.asset("prompts"),
        general=paths.general_prompts,
    output:
        candidates=paths.candidates("{concept}"),
        evaluation=paths.evaluation_prompts("{concept}"),
        odd=report(paths.odd_rows("{concept}"), caption="../report/odd-rows.rst", category="Tables"),
    params:
        code=code("read_prompts"),
        words=lambda wildcards: [
            experiment.concepts[wildcards.concept].words,
            *experiment.concepts[wildcards.concept].also_named,
        ],
        files=lambda wildcards: experiment.concepts[wildcards.concept].published.model_dump(),
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
    script:
        "../scripts/read_prompts.py"


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
    script:
        "../scripts/list_pictures.py"
