# Evaluate: a verdict on every image, the scores of every (concept, method, seed), and the tidy tables of all of them.
# Of photographs, one job asks the models that run on a GPU and another one does all the rest on the CPU: NudeNet, distances,
# bootstraps. On the mini world both take seconds, and one job does both.


rule extract_features:
    input:
        reference=paths.reference,
        extractor=FEATURES_FILE,
    output:
        features=paths.reference_features,
    params:
        code=code("evaluation_extract_features"),
        features=experiment.utility.features,
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/extract_features.log"),
    benchmark:
        paths("benchmarks/extract_features.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_judges("extract_features", 60),
    conda:
        "../envs/ear.yaml"
    message:
        "extract features of the reference images"
    script:
        "../scripts/evaluation_extract_features.py"


rule measure_images:
    input:
        manifests=lambda wildcards: shards_of(wildcards, "manifest.csv"),
        judge=judge_files("judge"),
        second_judge=judge_files("second_judge"),
        objects=objects_file,
        clip=CLIP_FILE,
        extractor=FEATURES_FILE,
    output:
        seen=temp(scored("seen.npz")),
    params:
        code=code("evaluation_measure_images"),
        judges=judges_of,
        features=experiment.utility.features,
        jpeg=experiment.rendering.protocol == "release",
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/measure_images-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/measure_images-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_judges("measure_images-{concept}-{method}-{seed}", 60),
    conda:
        "../envs/ear.yaml"
    message:
        "judge {wildcards.concept} · {wildcards.method} · seed {wildcards.seed}"
    script:
        "../scripts/evaluation_measure_images.py"


rule evaluate:
    input:
        manifests=lambda wildcards: shards_of(wildcards, "manifest.csv"),
        seen=[] if experiment.world else scored("seen.npz"),
        captions=captions_of,
        answers=answers_of,
        judge=judge_files("judge"),
        second_judge=judge_files("second_judge"),
        objects=objects_file,
        clip=CLIP_FILE if experiment.world else [],
        extractor=FEATURES_FILE if experiment.world else [],
        features=paths.reference_features,
        reference=paths.reference,
    output:
        verdicts=scored("verdicts.csv"),
        scores=scored("scores.csv"),
        detections=scored("detections.csv"),
    params:
        code=code("evaluation_evaluate"),
        judges=judges_of,
        features=experiment.utility.features,
        jpeg=experiment.rendering.protocol == "release",
        question=experiment.utility.question,
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/evaluate-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/evaluate-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU if experiment.world else 0,
        mem_mb=growing(4000 if experiment.utility.general < 5000 else 12000),  # FID and KID of 30 000 images: 3 GB
        runtime=planned("evaluate-{concept}-{method}-{seed}", 60),
    conda:
        "../envs/ear.yaml"
    message:
        "judge and score {wildcards.concept} · {wildcards.method} · seed {wildcards.seed}"
    script:
        "../scripts/evaluation_evaluate.py"


rule tabulate:
    input:
        verdicts=[paths.run("evaluation", *run, "verdicts.csv") for run in experiment.runs()],
        scores=[paths.run("evaluation", *run, "scores.csv") for run in experiment.runs()],
        detections=[paths.run("evaluation", *run, "detections.csv") for run in experiment.runs()],
        attacks=attacks(),
    output:
        metrics=table("metrics.csv"),
        windows=table("window-length.csv"),
        top_k=paths.table("top-k.csv"),
        detections=paths.table("detections.csv"),
        judge_rules=[] if experiment.world else table("judge-rules.csv"),
        comparisons=table("comparisons.csv"),
        score_card=table("score-card.csv"),
        latex=paths.table("score-card.tex"),
        deviations=table("deviations.csv") if experiment.evaluation.published else [],
    params:
        code=code("evaluation_tabulate"),
        shown_method=experiment.evaluation.shown_method,
        image_tokens=experiment.image_tokens,
        trained=trained_jobs(),
        logs=paths("logs"),
        runs=experiment.runs(),
        attacked=experiment.attacked_runs(),
        windows={
            f"{concept}/{method}": experiment.method_window(concept, method)
            for concept, method, _ in experiment.runs()
        },
        also_erased={
            f"{concept}/{method}": words
            for concept, method, _ in experiment.runs()
            if (words := experiment.also_erased(concept, method))
        },
    log:
        paths("logs/tabulate.log"),
    benchmark:
        paths("benchmarks/tabulate.tsv")
    conda:
        "../envs/ear.yaml"
    message:
        "tabulate all metrics and make the score card"
    script:
        "../scripts/evaluation_tabulate.py"


# Attack: the prompts and the weights of each (concept, method, seed), by one job that loads the models once.


rule attack:
    input:
        backbone=BACKBONE_FILE,
        prompts=paths.evaluation_prompts("{concept}"),
        pairs=relearning_pairs,
        tokens=attack_tokens,
        edited_weights=edited_weights_of,
        judge=judge_files("judge"),
        objects=objects_file,
    output:
        verdicts=paths.run("attacks", "{concept}", "{method}", "{seed}", "verdicts.csv"),
    params:
        code=code("evaluation_attack"),
        backbone=DRAWING,
        sampling=SAMPLING,
        guidance=experiment.sampling.guidance,
        negative=negative_prompt,
        words=lambda wildcards: experiment.concepts[wildcards.concept].names,
        kind=lambda wildcards: experiment.concepts[wildcards.concept].kind,
        search=lambda wildcards: dumped(experiment.searched(wildcards.method)),
        inversion=lambda wildcards: dumped(experiment.inverted(wildcards.method)),
        relearning=lambda wildcards: dumped(experiment.relearned(wildcards.method)),
        relearned_layers=lambda wildcards: experiment.relearned_layers(wildcards.method),
        judges=lambda wildcards: judges_of(wildcards)[:1],
        threads=experiment.backbone.threads,
    log:
        paths("logs/attack-{concept}-{method}-{seed}.log"),
    benchmark:
        paths("benchmarks/attack-{concept}-{method}-{seed}.tsv")
    threads: experiment.backbone.threads
    resources:
        gpu=GPU,
        mem_mb=growing(LARGEST_MB),
        runtime=planned("attack-{concept}-{method}-{seed}", 120),
        batch_size=experiment.rendering.batch_size,
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        method=BY_BACKBONE,
    message:
        "attack {wildcards.concept} · {wildcards.method} · seed {wildcards.seed}"
    script:
        "../scripts/evaluation_attack.py"
