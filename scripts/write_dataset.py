"""The data set of a concept: pairs, splits, images or their seeds, and a datasheet."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.dataset.card import Making, Subject
    from ear.dataset.folder import write_dataset
    from ear.files import read_csv
    from ear.prompts.checks import ASPECTS
    from ear.prompts.coverage import told_aspects
    from ear.prompts.sources import REJECTED_COLUMNS
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS

    files, params = snakemake.input, snakemake.params
    write_dataset(
        Path(snakemake.output.card).parent,
        Subject(concept=snakemake.wildcards.concept, **params.subject),
        Making(**params.making),
        pairs=read_csv(files.pairs, PAIR_COLUMNS),
        failed=read_csv(files.failed, [*PAIR_COLUMNS, "reason"]),
        prompts=read_csv(files.prompts, PROMPT_COLUMNS),
        aspects=told_aspects(read_csv(path, [*PAIR_COLUMNS, *ASPECTS]) for path in files.sources),
        rejected=read_csv(files.rejected, REJECTED_COLUMNS) if files.rejected else None,
        manifest=files.manifest,
        images=read_csv(files.manifest, ["prompt_id", "seed", "file", "sha256"]),
    )
