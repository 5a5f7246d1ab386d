"""The tidy tables of the whole experiment."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.files import read_csv, write_csv, write_text
    from ear.metrics.main_table import main_table, to_latex, to_markdown
    from ear.metrics.table import SCORE_COLUMNS, VERDICT_COLUMNS, Job, metrics_table, window_table

    params = snakemake.params
    jobs = [
        Job(
            concept,
            method,
            seed,
            params.windows.get(f"{concept}/{method}"),
            read_csv(verdicts, VERDICT_COLUMNS),
            read_csv(scores, SCORE_COLUMNS),
        )
        for (concept, method, seed), verdicts, scores in zip(
            params.runs, snakemake.input.verdicts, snakemake.input.scores, strict=True
        )
    ]
    metrics = metrics_table(jobs)
    main = main_table(metrics)
    write_csv(snakemake.output.metrics, metrics)
    write_csv(snakemake.output.windows, window_table(jobs))
    main_csv, main_markdown, main_latex = (Path(path) for path in snakemake.output.main)
    write_csv(main_csv, main)
    write_text(main_markdown, to_markdown(main))
    write_text(main_latex, to_latex(main))
