"""Drawn pictures that no model was trained on: the reference of FID, and pictures to be captioned."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.world.heldout import draw_captioned, draw_reference

    params, counts = snakemake.params, snakemake.params.counts
    draw_reference(Path(snakemake.output.reference).parent, counts["general"], params.all_words, params.seed)
    draw_captioned(Path(snakemake.output.captions).parent, counts["captions"], params.seed)
