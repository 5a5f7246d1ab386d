# The score card: each axis as one number a method, for people and, as JSON, for leaderboards.


rule score_card:
    input:
        metrics=paths.table("metrics.csv"),
    output:
        csv=report(paths.table("score-card.csv"), caption="../report/score-card.rst", category="Tables"),
        markdown=paths.table("score-card.md"),
        latex=paths.table("score-card.tex"),
    params:
        code=code("score_card"),
        image_tokens=experiment.image_tokens,
    log:
        paths("logs/score_card.log"),
    benchmark:
        paths("benchmarks/score_card.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "rank methods on the score card"
    script:
        "../scripts/score_card.py"


rule publish_score_card:
    input:
        card=paths.table("score-card.csv"),
    output:
        json=paths.table("score-card.json"),
    params:
        code=code("publish_score_card"),
        experiment=experiment.experiment,
        backbone=experiment.backbone.asset,
        image_tokens=experiment.image_tokens,
        fine_tuning_seeds=experiment.seeds,
        config_sha256=sha256(
            json.dumps(experiment.model_dump(mode="json"), sort_keys=True).encode()
        ).hexdigest(),
    log:
        paths("logs/publish_score_card.log"),
    benchmark:
        paths("benchmarks/publish_score_card.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "write the score card for leaderboards"
    script:
        "../scripts/publish_score_card.py"
