"""Fine-tuning: all windows of one method and seed, for a concept or for several together."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear import load
    from ear.erasure.joint import hash_of_pairs, joined, without_others
    from ear.erasure.run import erase
    from ear.erasure.sequences import load_sequences, made_from, pairs_of
    from ear.erasure.variants import Settings
    from ear.prompts.tables import PAIR_COLUMNS
    from ear.workflow.files import read_csv, sha256_file
    from ear.workflow.seeding import stable_seed

    files, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    backbone = load(Path(files.backbone).parent, **params.backbone)
    settings, parts = Settings.from_dict(params.settings), []
    listed = zip(files.pairs, files.sequences, params.pairings, params.others, strict=True)
    for pairs_file, sequences_file, pairing, others in listed:
        pairs = pairs_of(read_csv(pairs_file, PAIR_COLUMNS), **pairing)
        sequences = load_sequences(sequences_file, made_from(backbone, pairs), settings.variant.context)
        parts.append(without_others(pairs, sequences, others))
    erase(
        Path(snakemake.output.edited).parent,
        backbone,
        *joined(parts),
        settings,
        params.windows,
        seed=stable_seed(params.seed, int(wildcards.seed)),
        facts={
            "concept": wildcards.erased,
            "method": wildcards.method,
            "fine_tuning_seed": int(wildcards.seed),
            "pairs_sha256": hash_of_pairs([sha256_file(path) for path in files.pairs]),
        },
        sizes=[len(pairs) for pairs, _ in parts],
        made_by={"code": params.code, "backbone": params.backbone, "threads": params.threads},
    )
