# Figures of the paper and of the axes, before/after grids, and the report page. A figure is a row of FIGURES, a module of
# ear/report/figures with a function `plot`, and a caption in report/.


PAGE_CAPTIONS = [
    *("score-card", "overview", "samples", "concept-rate", "tradeoff", "attacks", "prefix", "sweeps"),
    *("relearning", "understanding", "window-length", "nudity", "filter-scores", "borderline", "training"),
]
METRICS = dict(table=paths.table("metrics.csv"))


# Rule, its category in Snakemake's report, its file, its caption where it is not named like the file, its input and params.
FIGURES = {
    "concept_rate": dict(category="Figures", input=METRICS),
    "tradeoff": dict(category="Figures", input=METRICS),
    "window_length": dict(
        category="Figures",
        input=dict(table=paths.table("window-length.csv")),
        params=dict(
            methods=[name for name, method in experiment.methods.items() if method.sweep],
            own_windows={name: concept.window for name, concept in experiment.concepts.items()},
            published=experiment.evaluation.published,
        ),
    ),
    "nudity": dict(category="Figures", input=dict(table=paths.table("detections.csv"))),
    "samples": dict(
        category="Before and after",
        file="samples-{concept}",
        input=dict(
            manifests=lambda wildcards: manifests_of(shown_runs(wildcards.concept)),
            verdicts=lambda wildcards: verdicts_of(shown_runs(wildcards.concept)),
            scores=scores_of_shown_runs,
        ),
        params=dict(
            concept=lambda wildcards: wildcards.concept,
            runs=lambda wildcards: described(shown_runs(wildcards.concept)),
            rows=experiment.evaluation.sample_rows,
        ),
    ),
    "overview": dict(
        category="Before and after",
        file="samples",
        input=dict(
            manifests=manifests_of(shown_runs(*experiment.concepts)),
            verdicts=verdicts_of(shown_runs(*experiment.concepts)),
        ),
        params=dict(
            runs=described(shown_runs(*experiment.concepts)),
            method=experiment.evaluation.shown_method,
        ),
    ),
    "training": dict(
        category="Training",
        file="training-{concept}",
        input=dict(logs=logs_of_training),
        params=dict(
            windows=of_trained(experiment.method_window),
            objectives=of_trained(
                lambda concept, method: experiment.settings(concept, method).variant.objective
            ),
        ),
    ),
    "filter_scores": dict(
        category="Filter",
        input=dict(verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts]),
        params=dict(concepts=list(experiment.concepts)),
    ),
    "borderline": dict(
        category="Filter",
        file="borderline-{concept}",
        input=dict(manifest=paths.pair_manifest("{concept}"), verdicts=paths.pair_verdicts("{concept}")),
        params=dict(concept=lambda wildcards: wildcards.concept, blurred=blurred),
    ),
    "score_card": dict(category="Axes", input=dict(table=paths.table("score-card.csv"))),
    "prefix": dict(category="Axes", input=METRICS, params=dict(image_tokens=experiment.image_tokens)),
    "sweeps": dict(
        category="Axes",
        input=METRICS,
        params=dict(own=experiment.sampling.model_dump(include={"guidance", "temperature"})),
    ),
    "attacks": dict(category="Axes", input=METRICS),
    "relearning": dict(category="Axes", input=METRICS),
    "understanding": dict(category="Axes", input=METRICS),
}

for figure, of in FIGURES.items():
    file = of.get("file", figure.replace("_", "-"))
    job = f"plot_{figure}" + "-{concept}" * ("{concept}" in file)

    rule:
        name:
            f"plot_{figure}"
        input:
            **of["input"],
        output:
            png=report(
                paths.figure(file),
                caption=f"../report/{figure.replace('_', '-')}.rst",
                category=of["category"],
            ),
            pdf=paths.figure(file, "pdf"),
        params:
            **of.get("params", {}),
            code=code("report_plot", f"ear.report.figures.{figure}"),
            figure=figure,
        log:
            paths(f"logs/{job}.log"),
        benchmark:
            paths(f"benchmarks/{job}.tsv")
        conda:
            "../envs/ear.yaml"
        message:
            f"plot {file.replace('{', '{wildcards.')}"
        script:
            "../scripts/report_plot.py"


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
        code=code("report_write_report"),
        captions=[f"report/{name}.rst" for name in PAGE_CAPTIONS],
        captions_sha256=fingerprints([f"report/{name}.rst" for name in PAGE_CAPTIONS]),
        logs=paths("logs"),
        runs=described(gallery_runs()),
        config=experiment.model_dump(),
        stand_ins=REHEARSED,
    log:
        paths("logs/write_report.log"),
    benchmark:
        paths("benchmarks/write_report.tsv")
    resources:
        mem_mb=growing(2000),
    conda:
        "../envs/ear.yaml"
    message:
        "write the report"
    script:
        "../scripts/report_write_report.py"
