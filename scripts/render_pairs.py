"""The original model's images of both sides of a concept's candidate pairs."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.batching import BatchSize
    from ear.files import read_csv
    from ear.filtering import pair_prompts
    from ear.janus import Backbone
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.render import render_prompts, write_manifest
    from ear.sampling import Guidance

    manifest = Path(snakemake.output.manifest)
    rows = render_prompts(
        Backbone.load(str(Path(snakemake.input.backbone).parent), **snakemake.params.backbone),
        pair_prompts(read_csv(snakemake.input.candidates, PAIR_COLUMNS)),
        manifest.parent,
        batch_size=BatchSize(snakemake.resources.batch_size),
        desc=f"drawing pairs of {snakemake.wildcards.concept}",
        guidance=Guidance(snakemake.params.guidance),
        **snakemake.params.sampling,
    )
    write_manifest(manifest, [rows])
