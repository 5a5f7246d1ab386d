# Figures of the paper and of the axes, before/after grids, and the report page. A figure is a row of FIGURES, a function of its
# name in a module of ear/report/figures, and a caption in report/.


METRICS = dict(table=paths.table("metrics.csv"))


# Categories of what the page shows in HTML, not as a figure.
PICTURES, CARD = "Before and after", "Score card"
# Function, in the order of the page: its module, its section of the page and category in Snakemake's report, its file where it
# is not named like the function, its input and params.
FIGURES = {
    "overview": dict(
        source="grids",
        category=PICTURES,
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
        category=PICTURES,
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
    "tradeoff": dict(source="tradeoff", category="Erased and kept", input=METRICS),
    "attacks": dict(source="rates", category="Attacks", input=METRICS),
    "prefix": dict(
        source="levels", category="Attacks", input=METRICS, params=dict(image_tokens=experiment.image_tokens)
    ),
    "sweeps": dict(
        source="levels",
        category="Attacks",
        input=METRICS,
        params=dict(own=experiment.sampling.model_dump(include={"guidance", "temperature"})),
    ),
    "relearning": dict(source="levels", category="Attacks", input=METRICS),
    "score_card": dict(source="card", category=CARD, input=dict(table=paths.table("score-card.csv"))),
    "concept_rate": dict(source="rates", category="More figures", input=METRICS),
    "understanding": dict(source="rates", category="More figures", input=METRICS),
    "nudity": dict(source="nudity", category="More figures", input=dict(table=paths.table("detections.csv"))),
    "window_length": dict(
        source="levels",
        category="More figures",
        input=dict(table=paths.table("window-length.csv")),
        params=dict(
            methods=[name for name, method in experiment.methods.items() if method.sweep],
            own_windows={name: concept.window for name, concept in experiment.concepts.items()},
            published=experiment.evaluation.published,
        ),
    ),
    "training": dict(
        source="training",
        category="More figures",
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
        source="visual_filter",
        category="More figures",
        input=dict(verdicts=[paths.pair_verdicts(concept) for concept in experiment.concepts]),
        params=dict(concepts=list(experiment.concepts)),
    ),
    "borderline": dict(
        source="visual_filter",
        category="More figures",
        file="borderline-{concept}",
        input=dict(manifest=paths.pair_manifest("{concept}"), verdicts=paths.pair_verdicts("{concept}")),
        params=dict(concept=lambda wildcards: wildcards.concept, blurred=blurred),
    ),
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


SHOWN = [figure for figure in all_figures() if figure[0] not in (PICTURES, CARD)]
# Beside those that the page shows, its provenance names them.
OTHER_TABLES = ["window-length.csv", "comparisons.csv", "top-k.csv", "detections.csv"]
OTHER_TABLES += [] if experiment.world else ["judge-rules.csv"]


rule write_report:
    input:
        metrics=paths.table("metrics.csv"),
        deviations=paths.table("deviations.csv") if experiment.evaluation.published else [],
        figures=[png for _, png, *_ in all_figures()],
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
        shown=SHOWN,
        captions_sha256=fingerprints([caption for *_, caption, _ in SHOWN]),
        logs=paths("logs"),
        trained=trained_jobs(),
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
