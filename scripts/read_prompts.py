"""Published pairs and test prompts of one concept, general prompts from COCO, and what is odd in them."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.files import write_csv
    from ear.prompts.coco import PROMPTS_FILE, read_general
    from ear.prompts.odd_rows import odd_rows
    from ear.prompts.published import read_pairs, read_targets

    params, output, concept = snakemake.params, snakemake.output, snakemake.wildcards.concept
    folder, files, utility = Path(snakemake.input.prompts).parent, params.files, params.utility
    pairs, target, general = folder / files["pairs"], folder / files["target"], folder / PROMPTS_FILE
    candidates = read_pairs(pairs, concept, files["pair_rows"])
    evaluation = pd.concat(
        [
            read_targets(target, concept, files["target_rows"]),
            read_general(general, utility["general"], utility["subsample"], params.seed),
        ]
    )
    write_csv(output.odd, odd_rows(pairs, target, general, params.words))
    write_csv(output.candidates, candidates)
    write_csv(output.evaluation, evaluation)
