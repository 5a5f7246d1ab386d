"""COCO: captions that are general prompts, photographs to compare images with, and those to be captioned."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    from ear.prompts import coco
    from ear.workflow.files import write_csv

    params, utility = snakemake.params, snakemake.params.utility
    prompts = Path(snakemake.input.prompts).parent / coco.PROMPTS_FILE
    images = Path(snakemake.input.images).parent / coco.PICTURES_FOLDER
    captions = Path(snakemake.input.captions).parent / coco.CAPTIONS_FILE
    reference, captioned = Path(snakemake.output.reference), Path(snakemake.output.captions)

    general = coco.read_general(prompts, utility["general"], utility["subsample"], params.seed)
    matched = coco.image_ids_of(general) if utility["reference"] == "matched" else None
    write_csv(snakemake.output.general, general)
    write_csv(reference, coco.reference_manifest(images, reference.parent, matched))
    count, folder = utility["captions"], captioned.parent
    write_csv(captioned, coco.captioned_manifest(images, captions, folder, count, params.seed))
