# Figures of the paper and of the axes, before/after grids, and the report page. A figure is a row of FIGURES, a function of its
# name in a module of ear/report/figures, and a caption in report/.


METRICS = dict(table=paths.table("metrics.csv"))


# Function, in the order of the page: its module, its category in Snakemake's report, its file where it is not named like the
# function, its input and params.
FIGURES = {
    "score_card": dict(source="score_card", category="Axes", input=dict(table=paths.table("score-card.csv"))),
    "overview": dict(
        source="grids",
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
    "samples": dict(
        source="grids",
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
    "concept_rate": dict(source="rates", category="Figures", input=METRICS),
    "tradeoff": dict(source="tradeoff", category="Figures", input=METRICS),
    "attacks": dict(source="rates", category="Axes", input=METRICS),
    "prefix": dict(
        source="levels", category="Axes", input=METRICS, params=dict(image_tokens=experiment.image_tokens)
    ),
    "sweeps": dict(
        source="levels",
        category="Axes",
        input=METRICS,
        params=dict(own=experiment.sampling.model_dump(include={"guidance", "temperature"})),
    ),
    "relearning": dict(source="levels", category="Axes", input=METRICS),
    "understanding": dict(source="rates", category="Axes", input=METRICS),
    "window_length": dict(
        source="levels",
        category="Figures",
        input=dict(table=paths.table("window-length.csv")),
        params=dict(
            methods=[name for name, method in experiment.methods.items() if method.sweep],
            own_windows={name: concept.window for name, concept in experiment.concepts.items()},
            published=experiment.evaluation.published,
        ),
    ),
    "nudity": dict(source="nudity", category="Figures", input=dict(table=paths.table("detections.csv"))),
    "filter_scores": dict(
        source="pairs",
        category="Filter",
        input=dict(verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts]),
        params=dict(concepts=list(experiment.concepts)),
    ),
    "borderline": dict(
        source="pairs",
        category="Filter",
        file="borderline-{concept}",
        input=dict(manifest=paths.pair_manifest("{concept}"), verdicts=paths.pair_verdicts("{concept}")),
        params=dict(concept=lambda wildcards: wildcards.concept, blurred=blurred),
    ),
    "training": dict(
        source="training",
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
}


def page_figures():
    """Figures of the experiment: file without its suffix, caption, concept or nothing."""
    for figure, of in FIGURES.items():
        name = figure.replace("_", "-")
        file = of.get("file", name)
        if name not in not_plotted():
            for concept in experiment.concepts if "{concept}" in file else [""]:
                yield file.format(concept=concept), f"report/{name}.rst", concept


def figures():
    """Files of all figures of the experiment."""
    return [paths.figure(file, suffix) for file, *_ in page_figures() for suffix in ("png", "pdf")]


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
            code=code("report_plot", f"ear.report.figures.{of['source']}.{figure}"),
            figure=f"{of['source']}.{figure}",
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


# Beside those that the page shows, its provenance names them.
OTHER_TABLES = ["window-length.csv", "comparisons.csv", "top-k.csv", "detections.csv"]


rule write_report:
    input:
        metrics=paths.table("metrics.csv"),
        deviations=paths.table("deviations.csv") if experiment.evaluation.published else [],
        figures=[paths.figure(file) for file, *_ in page_figures()],
        score_card=paths.table("score-card.csv"),
        manifests=manifests_of(gallery_runs()),
        verdicts=verdicts_of(gallery_runs()),
        tables=[paths.table(name) for name in OTHER_TABLES],
    output:
        page=paths.report,
        side_files=directory(paths.report_files),
        provenance=paths.provenance,
    params:
        code=code("report_write_report"),
        captions=[(caption, concept) for _, caption, concept in page_figures()],
        captions_sha256=fingerprints([caption for _, caption, _ in page_figures()]),
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
