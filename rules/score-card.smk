# The score card: each axis as one number a method, and the Pareto front.


rule score_card:
    input:
        metrics=paths.table("metrics.csv"),
    output:
        csv=report(paths.table("score-card.csv"), caption="../report/score-card.rst", category="Tables"),
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
        "make the score card"
    script:
        "../scripts/score_card.py"
