"""The threshold of a zero-shot judge, from the images of its concept's candidate pairs."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.judges.zero_shot import calibrate

    params = snakemake.params
    calibrate(
        snakemake.input.manifest,
        Path(snakemake.input.model).parent,
        params.judge["positive"],
        params.judge["negative"],
        params.device,
    ).write(snakemake.output.calibration)
