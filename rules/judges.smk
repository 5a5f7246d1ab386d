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
        gpu=GPU,
        mem_mb=growing(JUDGES_MB),
        runtime=planned("calibrate_judge-{concept}-{which}", 20),
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
        gpu=GPU,
        mem_mb=growing(JUDGES_MB),
        runtime=planned("filter_pairs-{concept}", 20),
    conda:
        "../envs/ear.yaml"
    message:
        "filter pairs of {wildcards.concept}"
    script:
        "../scripts/judges_filter_pairs.py"


rule tabulate_filter:
    input:
        pairs=[paths.pairs(concept) for concept in experiment.concepts],
        dropped=[paths.dropped(concept) for concept in experiment.concepts],
        verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts],
    output:
        filter=report(paths.table("filter.csv"), caption="../report/filter-table.rst", category="Tables"),
        agreement=report(paths.table("agreement.csv"), caption="../report/agreement.rst", category="Tables"),
    params:
        code=code("judges_tabulate_filter"),
        concepts=list(experiment.concepts),
    log:
        paths("logs/tabulate_filter.log"),
    benchmark:
        paths("benchmarks/tabulate_filter.tsv")
    conda:
        "../envs/ear.yaml"
    message:
        "tabulate what the visual filter did"
    script:
        "../scripts/judges_tabulate_filter.py"
