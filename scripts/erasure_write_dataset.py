"""The data set of a concept: pairs, held-out prompts, pictures and a card."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.commands.dataset_folder import SCORES, write_dataset
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
    from ear.workflow.files import read_csv

    files = snakemake.input
    write_dataset(
        Path(snakemake.output.card).parent,
        snakemake.params.making,
        pairs=read_csv(files.pairs, [*PAIR_COLUMNS, *SCORES]),
        failed=read_csv(files.failed, [*PAIR_COLUMNS, "reason"]),
        prompts=read_csv(files.prompts, PROMPT_COLUMNS),
        images=read_csv(files.manifest, ["prompt_id", "seed", "file", "sha256"]),
        pictures=Path(files.manifest).parent,
    )
