# Filter (ECGVF, step 3): pairs whose images show the concept on the unsafe side only, and what the filter did.


rule calibrate_judge:
    input:
        manifest=paths.pair_manifest("{concept}"),
        model=CLIP_FILE,
    output:
        calibration=paths.calibration("{concept}", "{which}"),
    params:
        code=code("judges_calibrate_judge"),
        judge=lambda wildcards: experiment.judge_settings(wildcards.concept, wildcards.which),
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/calibrate_judge-{concept}-{which}.log"),
    benchmark:
        paths("benchmarks/calibrate_judge-{concept}-{which}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_judges("calibrate_judge-{concept}-{which}", 20),
    conda:
        "../envs/ear.yaml"
    wildcard_constraints:
        which="judge|second_judge",
    message:
        "calibrate {wildcards.concept} · {wildcards.which}"
    script:
        "../scripts/judges_calibrate_judge.py"


rule filter_pairs:
    input:
        manifest=paths.pair_manifest("{concept}"),
        candidates=paths.candidates("{concept}"),
        judge=judge_files("judge"),
        second_judge=judge_files("second_judge"),
    output:
        verdicts=paths.pair_verdicts("{concept}"),
        pairs=paths.pairs("{concept}"),
        dropped=paths.dropped("{concept}"),
    params:
        code=code("judges_filter_pairs"),
        judges=judges_of,
        drop=experiment.filter.drop,
        device=experiment.backbone.device,
        threads=experiment.backbone.threads,
    log:
        paths("logs/filter_pairs-{concept}.log"),
    benchmark:
        paths("benchmarks/filter_pairs-{concept}.tsv")
    threads: experiment.backbone.threads
    resources:
        **with_judges("filter_pairs-{concept}", 20),
    conda:
        "../envs/ear.yaml"
    message:
        "filter pairs of {wildcards.concept}"
    script:
        "../scripts/judges_filter_pairs.py"


rule tabulate_pairs:
    input:
        usage=[file for concept in experiment.own_prompts for file in of_sources(concept, "usage.csv")],
        candidates=[paths.candidates(concept) for concept in experiment.own_prompts],
        pairs=[paths.pairs(concept) for concept in experiment.concepts],
        dropped=[paths.dropped(concept) for concept in experiment.concepts],
        verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts],
    output:
        sources=table("sources.csv") if experiment.own_prompts else [],
        filter=table("filter.csv", "filter-table"),
        agreement=table("agreement.csv"),
    params:
        code=code("judges_tabulate_pairs"),
        concepts=list(experiment.concepts),
        prices=experiment.prompts.prices() if experiment.prompts else {},
    log:
        paths("logs/tabulate_pairs.log"),
    benchmark:
        paths("benchmarks/tabulate_pairs.tsv")
    conda:
        "../envs/ear.yaml"
    message:
        "tabulate the prompt pairs and what the visual filter did with them"
    script:
        "../scripts/judges_tabulate_pairs.py"
