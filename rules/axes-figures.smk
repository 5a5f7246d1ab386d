# Figures of the axes. One rule a figure; those of axes that the config does not ask for are not made.


rule plot_score_card:
    input:
        table=paths.table("score-card.csv"),
    output:
        png=report(paths.figure("score-card"), caption="../report/score-card.rst", category="Axes"),
        pdf=paths.figure("score-card", "pdf"),
    params:
        code=code("plot_score_card"),
    log:
        paths("logs/plot_score_card.log"),
    benchmark:
        paths("benchmarks/plot_score_card.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot the score card"
    script:
        "../scripts/plot_score_card.py"


rule plot_prefix:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("prefix"), caption="../report/prefix.rst", category="Axes"),
        pdf=paths.figure("prefix", "pdf"),
    params:
        code=code("plot_prefix"),
        image_tokens=experiment.image_tokens,
    log:
        paths("logs/plot_prefix.log"),
    benchmark:
        paths("benchmarks/plot_prefix.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot the prefix attack"
    script:
        "../scripts/plot_prefix.py"


rule plot_sweeps:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("sweeps"), caption="../report/sweeps.rst", category="Axes"),
        pdf=paths.figure("sweeps", "pdf"),
    params:
        code=code("plot_sweeps"),
        own={"guidance": experiment.sampling.guidance, "temperature": experiment.sampling.temperature},
    log:
        paths("logs/plot_sweeps.log"),
    benchmark:
        paths("benchmarks/plot_sweeps.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot sweeps of guidance and temperature"
    script:
        "../scripts/plot_sweeps.py"


rule plot_attacks:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("attacks"), caption="../report/attacks.rst", category="Axes"),
        pdf=paths.figure("attacks", "pdf"),
    params:
        code=code("plot_attacks"),
    log:
        paths("logs/plot_attacks.log"),
    benchmark:
        paths("benchmarks/plot_attacks.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot the prompt attacks"
    script:
        "../scripts/plot_attacks.py"


rule plot_relearning:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("relearning"), caption="../report/relearning.rst", category="Axes"),
        pdf=paths.figure("relearning", "pdf"),
    params:
        code=code("plot_relearning"),
    log:
        paths("logs/plot_relearning.log"),
    benchmark:
        paths("benchmarks/plot_relearning.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot relearning"
    script:
        "../scripts/plot_relearning.py"


rule plot_understanding:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("understanding"), caption="../report/understanding.rst", category="Axes"),
        pdf=paths.figure("understanding", "pdf"),
    params:
        code=code("plot_understanding"),
    log:
        paths("logs/plot_understanding.log"),
    benchmark:
        paths("benchmarks/plot_understanding.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot answers to questions about images"
    script:
        "../scripts/plot_understanding.py"
