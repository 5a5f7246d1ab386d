"""What CLIP, the network of FID and the judges on a GPU see in the images of one (concept, method, seed)."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.metrics.inputs import read_manifests
    from ear.metrics.looks import load_looks, write_seen
    from ear.metrics.parts import Parts

    files, params = snakemake.input, snakemake.params
    output = Path(snakemake.output.seen)
    images = read_manifests(files.manifests)
    looks = load_looks(files, params.judges, params.device, params.features, params.jpeg, on_gpu=True)
    parts = Parts(output.with_name(".seen"), params.code)
    write_seen(output, looks.at(images, parts))
    parts.remove()
