"""Verdicts, scores and detections of one (concept, method, seed)."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.files import read_csv
    from ear.judges.clip import Clip
    from ear.judges.loading import load_judges
    from ear.metrics.evaluate import Reference, evaluate
    from ear.metrics.fid import load_extractor, read_features

    files, params = snakemake.input, snakemake.params
    reference = None
    if files.get("features"):
        extractor = load_extractor(params.features, Path(files.extractor).parent, params.device)
        prompt_ids = read_csv(files.reference, ["image_id"]).get("prompt_id")
        reference = Reference(read_features(files.features), extractor, prompt_ids)
    judge, second = load_judges(
        params.judges, (files.judge, files.second_judge), params.device, files.objects
    )
    evaluate(
        files.manifests,
        files.captions,
        reference,
        judge,
        Clip.load(Path(files.clip).parent, device=params.device),
        params.window,
        snakemake.output.verdicts,
        snakemake.output.scores,
        snakemake.output.detections,
        second=second,
        answers=files.answers,
    )
