"""The judge of object, style and fire: a timm classifier."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv
    from ear.world.classifiers import train_classifier

    curve = train_classifier(
        Path(snakemake.input.world).parent,
        Path(snakemake.output.config).parent,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    write_csv(snakemake.output.curve, curve)
