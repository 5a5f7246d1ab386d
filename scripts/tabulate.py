"""The tidy tables of the whole experiment."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.attacks.budget import ATTACK_COLUMNS
    from ear.files import read_csv, write_csv, write_text
    from ear.metrics.comparison import comparisons
    from ear.metrics.detections import detection_table
    from ear.metrics.main_table import main_table, to_latex, to_markdown
    from ear.metrics.table import (
        DETECTION_COLUMNS,
        SCORE_COLUMNS,
        VERDICT_COLUMNS,
        Job,
        metrics_table,
        window_table,
        with_attacks,
    )
    from ear.metrics.top_k import top_k_table

    files, params = snakemake.input, snakemake.params
    attacks = dict(zip(map(tuple, params.attacked), files.attacks, strict=True))
    jobs = [
        Job(
            concept,
            method,
            seed,
            params.windows.get(f"{concept}/{method}"),
            with_attacks(
                read_csv(verdicts, VERDICT_COLUMNS),
                read_csv(path, ATTACK_COLUMNS) if (path := attacks.get((concept, method, seed))) else None,
            ),
            read_csv(scores, SCORE_COLUMNS),
            read_csv(detections, DETECTION_COLUMNS),
            params.also_erased.get(f"{concept}/{method}", ()),
        )
        for (concept, method, seed), verdicts, scores, detections in zip(
            params.runs, files.verdicts, files.scores, files.detections, strict=True
        )
    ]
    metrics = metrics_table(jobs)
    main = main_table(metrics)
    output = snakemake.output
    write_csv(output.metrics, metrics)
    write_csv(output.windows, window_table(jobs))
    write_csv(output.top_k, top_k_table(jobs))
    write_csv(output.detections, detection_table(jobs))
    main_csv, main_markdown, main_latex = (Path(path) for path in output.main)
    write_csv(output.comparisons, comparisons(jobs, params.shown_method))
    write_csv(main_csv, main)
    write_text(main_markdown, to_markdown(main))
    write_text(main_latex, to_latex(main))
