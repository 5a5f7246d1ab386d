"""The score card as JSON."""

from ear.jobs import job

with job(snakemake):
    from ear.files import read_csv, write_json
    from ear.metrics.score_card.file import card_json, make_card
    from ear.metrics.score_card.table import CARD_COLUMNS

    params = snakemake.params
    card = make_card(
        read_csv(snakemake.input.card, CARD_COLUMNS),
        experiment=params.experiment,
        backbone=params.backbone,
        image_tokens=params.image_tokens,
        fine_tuning_seeds=params.fine_tuning_seeds,
        config_sha256=params.config_sha256,
    )
    write_json(snakemake.output.json, card_json(card))
