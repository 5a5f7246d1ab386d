"""Verdicts, scores and detections of one (concept, method, seed)."""

import shutil
from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.evaluation.evaluate import Reference, evaluate
    from ear.evaluation.metrics.fid import read_features
    from ear.evaluation.metrics.image_scores import load_looks, look_at, read_seen
    from ear.images.reading import read_manifests
    from ear.workflow.files import read_csv, write_csv

    files, params, output = snakemake.input, snakemake.params, snakemake.output
    reference = None
    if files.get("features"):
        pictures = read_csv(files.reference, ["image_id"])
        features = read_features(files.features, pictures["image_id"].tolist())
        reference = Reference(features, pictures.get("prompt_id"))
    images = read_manifests(files.manifests)
    # Without a file of what the models on the GPU saw, all are asked here.
    on_gpu = False if files.get("seen") else None
    looks = load_looks(files, params.judges, params.device, params.features, params.jpeg, on_gpu)
    parts = Path(output.verdicts).with_name(".judged")
    seen = look_at(images, looks, parts, params.code)
    if files.get("seen"):
        for group, found in read_seen(files.seen, images).items():
            seen[group] |= found
    tables = evaluate(images, seen, files.captions, params.question, reference, files.answers)
    for path, table in zip((output.verdicts, output.scores, output.detections), tables, strict=True):
        write_csv(path, table)
    shutil.rmtree(parts, ignore_errors=True)
