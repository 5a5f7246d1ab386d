"""Published pairs and test prompts of one concept, prompt sets of other studies, and the general prompts."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    import pandas as pd

    from ear.prompts.published import read_pairs, read_public, read_targets
    from ear.prompts.tables import PROMPT_COLUMNS, indirect_prompts
    from ear.workflow.files import read_csv, write_csv

    params, output, concept = snakemake.params, snakemake.output, snakemake.wildcards.concept
    folder, files = Path(snakemake.input.prompts).parent, params.files
    pairs, target = folder / files["pairs"], folder / files["target"]
    folders = {path.parent.name: path.parent for path in map(Path, snakemake.input.public)}
    candidates = read_pairs(pairs, concept, params.kind, files["pair_rows"])
    evaluation = pd.concat(
        [
            read_targets(target, concept, params.kind, files["target_rows"])[: files["target_used"]],
            *(
                read_public(folders[chosen["asset"]], concept, params.kind, name, chosen)
                for name, chosen in params.public.items()
            ),
            indirect_prompts(concept, **params.indirect),
            read_csv(snakemake.input.general, PROMPT_COLUMNS),
        ]
    )
    write_csv(output.candidates, candidates)
    write_csv(output.evaluation, evaluation)
