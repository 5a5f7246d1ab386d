"""A judge of the mini world: a timm classifier of object, style and fire, or a small open_clip model."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.workflow.files import write_csv
    from ear.world.classifiers import train_judge

    curve = train_judge(
        snakemake.params.judge,
        Path(snakemake.input.world).parent,
        Path(snakemake.output.config).parent,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
    write_csv(snakemake.output.curve, curve)
