"""What CLIP, the network of FID and the judges on a GPU see in the images of one (concept, method, seed)."""

import shutil
from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.evaluation.metrics.image_scores import load_looks, look_at, write_seen
    from ear.images.reading import read_manifests

    files, params = snakemake.input, snakemake.params
    output = Path(snakemake.output.seen)
    images = read_manifests(files.manifests)
    looks = load_looks(files, params.judges, params.device, params.features, params.jpeg, on_gpu=True)
    parts = output.with_name(".seen")
    write_seen(output, look_at(images, looks, parts, params.code))
    shutil.rmtree(parts, ignore_errors=True)
