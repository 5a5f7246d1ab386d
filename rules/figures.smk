# Figures of the paper, before/after grids, and the report page. One rule a figure.

PAGE_CAPTIONS = [
    *("overview", "samples", "concept-rate", "tradeoff", "window-length", "nudity", "training"),
    *("coverage", "filter", "borderline"),
    *("score-card", "attacks", "prefix", "sweeps", "relearning", "understanding"),
]
# Concepts whose images are shown blurred.
BLURRED = [name for name, concept in experiment.concepts.items() if concept.kind == "unsafe"]


rule plot_concept_rate:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("concept-rate"), caption="../report/concept-rate.rst", category="Figures"),
        pdf=paths.figure("concept-rate", "pdf"),
    params:
        code=code("plot_concept_rate"),
    log:
        paths("logs/plot_concept_rate.log"),
    benchmark:
        paths("benchmarks/plot_concept_rate.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot concept rates"
    script:
        "../scripts/plot_concept_rate.py"


rule plot_tradeoff:
    input:
        table=paths.table("metrics.csv"),
    output:
        png=report(paths.figure("tradeoff"), caption="../report/tradeoff.rst", category="Figures"),
        pdf=paths.figure("tradeoff", "pdf"),
    params:
        code=code("plot_tradeoff"),
    log:
        paths("logs/plot_tradeoff.log"),
    benchmark:
        paths("benchmarks/plot_tradeoff.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot the trade-off"
    script:
        "../scripts/plot_tradeoff.py"


rule plot_window_length:
    input:
        table=paths.table("window-length.csv"),
    output:
        png=report(paths.figure("window-length"), caption="../report/window-length.rst", category="Figures"),
        pdf=paths.figure("window-length", "pdf"),
    params:
        code=code("plot_window_length"),
        methods=[name for name, method in experiment.methods.items() if method.sweep],
        own_windows={name: concept.window for name, concept in experiment.concepts.items()},
        published=experiment.evaluation.published,
    log:
        paths("logs/plot_window_length.log"),
    benchmark:
        paths("benchmarks/plot_window_length.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot window lengths"
    script:
        "../scripts/plot_window_length.py"


rule plot_nudity:
    input:
        table=paths.table("detections.csv"),
    output:
        png=report(paths.figure("nudity"), caption="../report/nudity.rst", category="Figures"),
        pdf=paths.figure("nudity", "pdf"),
    params:
        code=code("plot_nudity"),
    log:
        paths("logs/plot_nudity.log"),
    benchmark:
        paths("benchmarks/plot_nudity.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot NudeNet's detections"
    script:
        "../scripts/plot_nudity.py"


rule plot_samples:
    input:
        manifests=lambda wildcards: image_manifests(wildcards.concept),
        verdicts=lambda wildcards: image_verdicts(wildcards.concept),
        scores=lambda wildcards: [
            paths.run("evaluation", *run, "scores.csv") for run in shown_runs(wildcards.concept)
        ],
    output:
        png=report(
            paths.figure("samples-{concept}"), caption="../report/samples.rst", category="Before and after"
        ),
        pdf=paths.figure("samples-{concept}", "pdf"),
    params:
        code=code("plot_samples"),
        windows=lambda wildcards: own_windows(wildcards.concept),
        blurred=lambda wildcards: wildcards.concept in BLURRED,
        rows=experiment.evaluation.sample_rows,
    log:
        paths("logs/plot_samples-{concept}.log"),
    benchmark:
        paths("benchmarks/plot_samples-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot samples of {wildcards.concept}"
    script:
        "../scripts/plot_samples.py"


rule plot_overview:
    input:
        manifests=[path for concept in experiment.concepts for path in image_manifests(concept)],
        verdicts=[path for concept in experiment.concepts for path in image_verdicts(concept)],
    output:
        png=report(paths.figure("samples"), caption="../report/overview.rst", category="Before and after"),
        pdf=paths.figure("samples", "pdf"),
    params:
        code=code("plot_overview"),
        windows={concept: own_windows(concept) for concept in experiment.concepts},
        blurred=BLURRED,
        method=experiment.evaluation.shown_method,
    log:
        paths("logs/plot_overview.log"),
    benchmark:
        paths("benchmarks/plot_overview.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot samples of all concepts"
    script:
        "../scripts/plot_overview.py"


rule plot_training:
    input:
        logs=lambda wildcards: [
            erased(wildcards.concept, method, experiment.seeds[0], "training.csv")
            for method in trained_for(wildcards.concept)
        ],
    output:
        png=report(paths.figure("training-{concept}"), caption="../report/training.rst", category="Training"),
        pdf=paths.figure("training-{concept}", "pdf"),
    params:
        code=code("plot_training"),
        windows=lambda wildcards: {
            method: experiment.method_window(wildcards.concept, method)
            for method in trained_for(wildcards.concept)
        },
        objectives=lambda wildcards: {
            method: experiment.settings(wildcards.concept, method).variant.objective
            for method in trained_for(wildcards.concept)
        },
    log:
        paths("logs/plot_training-{concept}.log"),
    benchmark:
        paths("benchmarks/plot_training-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot losses of {wildcards.concept}"
    script:
        "../scripts/plot_training.py"


rule measure_coverage:
    input:
        candidates=[paths.candidates(concept) for concept in experiment.concepts],
        # Published pairs tell no aspects.
        sources=[file for concept in experiment.concepts for file in of_sources(concept, "pairs.csv")],
    output:
        table=report(paths.table("coverage.csv"), caption="../report/coverage.rst", category="Tables"),
    params:
        code=code("measure_coverage"),
        names={name: [one.words, *one.also_named] for name, one in experiment.concepts.items()},
    log:
        paths("logs/measure_coverage.log"),
    benchmark:
        paths("benchmarks/measure_coverage.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "measure coverage of the prompt pairs"
    script:
        "../scripts/measure_coverage.py"


rule plot_coverage:
    input:
        table=paths.table("coverage.csv"),
    output:
        png=report(paths.figure("coverage"), caption="../report/coverage.rst", category="Figures"),
        pdf=paths.figure("coverage", "pdf"),
    params:
        code=code("plot_coverage"),
    log:
        paths("logs/plot_coverage.log"),
    benchmark:
        paths("benchmarks/plot_coverage.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot coverage of the prompt pairs"
    script:
        "../scripts/plot_coverage.py"


rule plot_filter:
    input:
        verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts],
    output:
        png=report(paths.figure("filter"), caption="../report/filter.rst", category="Filter"),
        pdf=paths.figure("filter", "pdf"),
    params:
        code=code("plot_filter"),
        concepts=list(experiment.concepts),
    log:
        paths("logs/plot_filter.log"),
    benchmark:
        paths("benchmarks/plot_filter.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot scores of the visual filter"
    script:
        "../scripts/plot_filter.py"


rule plot_borderline:
    input:
        manifest=paths.pair_manifest("{concept}"),
        verdicts=paths.pair_verdicts("{concept}"),
    output:
        png=report(
            paths.figure("borderline-{concept}"), caption="../report/borderline.rst", category="Filter"
        ),
        pdf=paths.figure("borderline-{concept}", "pdf"),
    params:
        code=code("plot_borderline"),
        blurred=lambda wildcards: wildcards.concept in BLURRED,
    log:
        paths("logs/plot_borderline-{concept}.log"),
    benchmark:
        paths("benchmarks/plot_borderline-{concept}.tsv")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "plot borderline pairs of {wildcards.concept}"
    script:
        "../scripts/plot_borderline.py"


rule write_report:
    input:
        metrics=paths.table("metrics.csv"),
        window_length=paths.table("window-length.csv"),
        deviations=paths.table("deviations.csv") if experiment.evaluation.published else [],
        figures=[path for path in figures() if path.endswith(".png")],
        score_card=paths.table("score-card.csv"),
        manifests=manifests_of(gallery_runs()),
        verdicts=verdicts_of(gallery_runs()),
        tables=[paths.table(name) for name in ("comparisons.csv", "top-k.csv", "detections.csv")],
    output:
        page=paths.report,
        side_files=directory(paths.report_files),
        provenance=paths.provenance,
    params:
        code=code("write_report"),
        captions=[f"report/{name}.rst" for name in PAGE_CAPTIONS],
        captions_sha256=fingerprints([f"report/{name}.rst" for name in PAGE_CAPTIONS]),
        logs=paths("logs"),
        runs=gallery_runs(),
        windows={concept: own_windows(concept) for concept in experiment.concepts},
        blurred=BLURRED,
        config=experiment.model_dump(),
        stand_ins=REHEARSED,
    log:
        paths("logs/write_report.log"),
    benchmark:
        paths("benchmarks/write_report.tsv")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    conda:
        "../envs/ear.yaml"
    message:
        "write the report"
    script:
        "../scripts/write_report.py"
