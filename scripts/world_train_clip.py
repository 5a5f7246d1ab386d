"""The judge of image-text agreement: a small open_clip model."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv
    from ear.world.classifiers import train_clip

    curve = train_clip(
        Path(snakemake.input.world).parent,
        Path(snakemake.output.config).parent,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    write_csv(snakemake.output.curve, curve)
