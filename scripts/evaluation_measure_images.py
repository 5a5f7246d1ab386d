"""What CLIP, the network of FID and the judges on a GPU see in the images of one (concept, method, seed)."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.evaluation.metrics.image_scores import load_looks, write_seen
    from ear.evaluation.metrics.parts import Parts
    from ear.images.reading import read_manifests

    files, params = snakemake.input, snakemake.params
    output = Path(snakemake.output.seen)
    images = read_manifests(files.manifests)
    looks = load_looks(files, params.judges, params.device, params.features, params.jpeg, on_gpu=True)
    parts = Parts(output.with_name(".seen"), params.code)
    write_seen(output, looks.at(images, parts))
    parts.remove()
