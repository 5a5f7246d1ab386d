"""Held-out pictures of the mini world beside what the image tokenizer makes of them."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.world.reconstructions import draw_sheet

    files, output = snakemake.input, snakemake.output
    draw_sheet(Path(files.world).parent, files.vq, snakemake.params.held_out, output.png)
