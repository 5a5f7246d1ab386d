"""Features of the images that FID and KID compare with, made once for all methods."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.evaluation.metrics.fid import image_features, load_extractor, write_features
    from ear.images.reading import reference_files

    params = snakemake.params
    extractor = load_extractor(params.features, Path(snakemake.input.extractor).parent, params.device)
    images = reference_files(snakemake.input.reference)
    features = image_features(images, extractor, f"features of {len(images)} reference images")
    write_features(snakemake.output.features, features)
