"""The training pictures of the mini world, with their captions."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.world.dataset import draw_training_set

    draw_training_set(Path(snakemake.output.captions).parent, snakemake.params.images, snakemake.params.seed)
