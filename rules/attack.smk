# Attack: the prompts and the weights of each (concept, method, seed), by one job that loads the models once.


rule attack:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.evaluation_prompts("{concept}"),
        pairs=relearning_pairs,
        tokens=attack_tokens,
        adapters=adapters_of,
        judge=judge_files("judge"),
        objects=objects_file,
    output:
        verdicts=paths.run("attacks", "{concept}", "{method}", "{seed}", "verdicts.csv"),
    params:
        code=code("attack"),
        backbone=DRAWING,
        sampling=SAMPLING,
        guidance=experiment.sampling.guidance,
        negative=negative_prompt,
        words=lambda wildcards: experiment.names_of(wildcards.concept),
        kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
        search=attack_settings("search"),
        relearning=attack_settings("relearning"),
        judges=lambda wildcards: judges_of(wildcards)[:1],
        threads=experiment.backbone.threads,
    log:
        paths("logs/attack-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/attack-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing((1 if experiment.world else 2) * BACKBONE_MB),
        runtime=planned("attack-{concept}-{method}-{seed}", 120),
        batch_size=experiment.rendering.batch_size,
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=BY_BACKBONE,
    message:
        "attack {wildcards.concept} · {wildcards.method} · seed {wildcards.seed}"
    script:
        "../scripts/attack.py"
