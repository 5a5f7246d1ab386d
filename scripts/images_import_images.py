"""A concept's images that were made elsewhere, taken in as those of a method."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.images.foreign import import_images
    from ear.prompts.tables import PROMPT_COLUMNS, with_samples
    from ear.workflow.files import read_csv

    files, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    import_images(
        Path(params.folder, wildcards.concept),
        files.images,
        with_samples(read_csv(files.prompts, PROMPT_COLUMNS), params.samples),
        [Path(manifest).parent for manifest in snakemake.output.manifests],
        experiment_seed=params.experiment_seed,
        desc=f"importing {wildcards.concept}/{wildcards.method}",
    )
