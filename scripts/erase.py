"""Fine-tuning: all windows of one (concept, method, seed)."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.erasure.presets import Settings
    from ear.erasure.run import erase
    from ear.erasure.streams import load_streams, made_from, read_pairs
    from ear.files import sha256_file
    from ear.janus import Backbone
    from ear.seeding import stable_seed

    params, wildcards = snakemake.params, snakemake.wildcards
    backbone = Backbone.load(str(Path(snakemake.input.backbone).parent), **params.backbone)
    pairs = read_pairs(snakemake.input.pairs)
    erase(
        Path(snakemake.output.adapter).parent,
        backbone,
        pairs,
        load_streams(snakemake.input.streams, made_from(backbone, pairs)),
        Settings.from_dict(params.settings),
        params.windows,
        seed=stable_seed(params.seed, int(wildcards.seed)),
        facts={
            "concept": wildcards.concept,
            "method": wildcards.method,
            "fine_tuning_seed": int(wildcards.seed),
            "pairs_sha256": sha256_file(snakemake.input.pairs),
        },
    )
