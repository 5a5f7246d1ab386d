"""The report page: tables, figures, before/after gallery and provenance."""

from pathlib import Path

from ear.workflow.jobs import job

STAND_INS = "Every model behind this page is a tiny random stand-in: its numbers and images mean nothing."

with job(snakemake):
    from ear.erasure.cost import cost_of_methods, cost_table
    from ear.report.figures.images import image_sources
    from ear.report.page import collect_provenance, provenance_sections, render_report
    from ear.workflow.files import write_json

    source, params = snakemake.input, snakemake.params
    tables = [source.metrics, source.score_card, *source.tables]
    tables += [source.deviations] if source.deviations else []
    facts = collect_provenance(params.config, [*source.figures, *tables], params.logs)
    render_report(
        Path(snakemake.output.page),
        Path(snakemake.output.side_files),
        title=f"Erasing concepts: the {params.config['experiment']} experiment",
        method=params.config["evaluation"]["shown_method"],
        sample_rows=params.config["evaluation"]["sample_rows"],
        warning=STAND_INS if params.stand_ins else "",
        metrics=Path(source.metrics),
        score_card=Path(source.score_card),
        costs=cost_of_methods(cost_table(params.trained, params.logs)),
        deviations=Path(source.deviations) if source.deviations else None,
        figures=[
            (section, Path(path), Path(caption), concept) for section, path, caption, concept in params.shown
        ],
        galleries=image_sources(params.runs, source),
        provenance=provenance_sections(facts),
    )
    write_json(snakemake.output.provenance, facts)
