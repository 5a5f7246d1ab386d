"""General prompts, and drawn pictures that no model was trained on: for FID, and to be captioned."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    from ear.files import write_csv
    from ear.prompts.grammar import general_prompts, general_subjects
    from ear.world.dataset import draw_captioned, draw_reference

    params, counts = snakemake.params, snakemake.params.counts
    general = general_prompts(counts["general"], params.seed)
    write_csv(snakemake.output.general, general)
    subjects = general_subjects(counts["general"], params.seed)
    draw_reference(Path(snakemake.output.reference).parent, subjects, list(general["prompt_id"]), params.seed)
    draw_captioned(Path(snakemake.output.captions).parent, counts["captions"], params.seed)
