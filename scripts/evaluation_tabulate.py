"""The tidy tables of the whole experiment, its score card, and published values beside ours."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.erasure.cost import cost_of_methods, cost_table
    from ear.evaluation.attacks import ATTACK_COLUMNS
    from ear.evaluation.columns import (
        DETECTION_COUNTS_CSV,
        DETECTIONS_CSV,
        METRICS_CSV,
        SCORES_CSV,
        VERDICTS_CSV,
        WINDOW_LENGTH_CSV,
    )
    from ear.evaluation.comparison import comparisons
    from ear.evaluation.deviations import deviations
    from ear.evaluation.metrics_table import (
        Job,
        detection_table,
        metrics_table,
        top_k_table,
        window_table,
        with_attacks,
    )
    from ear.evaluation.rules_table import rules_table
    from ear.evaluation.score_card import score_card, to_latex
    from ear.workflow.files import read_csv, write_csv, write_text

    files, params, output = snakemake.input, snakemake.params, snakemake.output
    made = zip(params.attacked, files.attacks, strict=True)
    attacks = {tuple(run): read_csv(path, ATTACK_COLUMNS) for run, path in made}
    found = zip(params.runs, files.verdicts, files.scores, files.detections, strict=True)
    jobs = [
        Job(
            concept,
            method,
            seed,
            params.windows.get(f"{concept}/{method}"),
            with_attacks(VERDICTS_CSV.read(verdicts), attacks.get((concept, method, seed))),
            SCORES_CSV.read(scores),
            DETECTIONS_CSV.read(detections),
            params.also_erased.get(f"{concept}/{method}", ()),
        )
        for (concept, method, seed), verdicts, scores, detections in found
    ]
    write_csv(output.metrics, metrics_table(jobs))
    write_csv(output.windows, window_table(jobs))
    write_csv(output.top_k, top_k_table(jobs))
    write_csv(output.detections, detection_table(jobs))
    if output.judge_rules:
        write_csv(output.judge_rules, rules_table(jobs))
    write_csv(output.comparisons, comparisons(jobs, params.shown_method))

    card = score_card(METRICS_CSV.read(output.metrics), params.image_tokens)
    write_csv(output.score_card, card)
    write_text(output.latex, to_latex(card, cost_of_methods(cost_table(params.trained, params.logs))))
    if output.deviations:
        read = WINDOW_LENGTH_CSV.read(output.windows), DETECTION_COUNTS_CSV.read(output.detections)
        write_csv(output.deviations, deviations(*read))
