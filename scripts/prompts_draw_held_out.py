"""General prompts, and drawn pictures that no model was trained on: for FID, and to be captioned."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.workflow.files import write_csv
    from ear.world.dataset import draw_captioned, draw_reference
    from ear.world.grammar import general_prompts

    params, counts = snakemake.params, snakemake.params.counts
    write_csv(snakemake.output.general, general_prompts(counts["general"], params.seed))
    draw_reference(Path(snakemake.output.reference).parent, counts["general"], params.seed)
    draw_captioned(Path(snakemake.output.captions).parent, counts["captions"], params.seed)
