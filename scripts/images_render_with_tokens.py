"""The original model's images of a concept's pairs, or of its target prompts; and their image tokens."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear import load
    from ear.images.batching import BatchSize
    from ear.images.rendering import render_prompts
    from ear.images.sampling import Guidance
    from ear.images.tokens import SavedTokens
    from ear.judges.filter import pair_prompts
    from ear.prompts.tables import PAIR_COLUMNS, PROMPT_COLUMNS
    from ear.workflow.files import read_csv, write_csv

    source, params = snakemake.input, snakemake.params
    manifest = Path(snakemake.output.manifest)
    if source.get("candidates"):
        prompts = pair_prompts(read_csv(source.candidates, PAIR_COLUMNS))
    else:
        prompts = read_csv(source.prompts, PROMPT_COLUMNS).assign(window=0)
        prompts = prompts[prompts["prompt_set"] == "target"]
    backbone = load(Path(source.backbone).parent, **params.backbone)
    guidance = Guidance(params.guidance)
    saved = SavedTokens(snakemake.output.tokens, backbone, guidance, params.sampling["temperature"])
    rows = render_prompts(
        backbone,
        prompts,
        manifest.parent,
        batch_size=BatchSize(snakemake.resources.batch_size),
        desc=f"rendering {manifest.parent.name} of {snakemake.wildcards.concept}",
        guidance=guidance,
        saved=saved,
        **params.sampling,
    )
    saved.finish(zip(rows["prompt"], rows["seed"], strict=True))
    write_csv(manifest, rows)
