"""The report page: summary, tables, figures, before/after gallery and provenance in one file."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.figures.sources import sources_by_concept
    from ear.report.page import render_report
    from ear.report.parts import page_figures, provenance

    source, params = snakemake.input, snakemake.params
    render_report(
        Path(snakemake.output.page),
        title=f"Erasing concepts: the {params.config['experiment']} experiment",
        metrics=Path(source.metrics),
        window_length=Path(source.window_length),
        figures=page_figures(source.figures, source.captions),
        galleries=sources_by_concept(params.windows, source.manifests, source.verdicts),
        provenance=provenance(params.config, source.lock),
    )
