"""An erased model as a plain transformers folder with a model card."""

from pathlib import Path

from ear.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear.export.card import Subject
    from ear.export.model import export_model
    from ear.files import read_csv
    from ear.janus import Backbone
    from ear.prompts.tables import PROMPT_COLUMNS

    source, params = snakemake.input, snakemake.params
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    target = prompts.loc[prompts["prompt_set"] == "target", "prompt"].iloc[0]
    export_model(
        Path(snakemake.output.card).parent,
        Backbone.load(str(Path(source.backbone).parent), params.dtype, device="cpu"),
        source.adapter,
        source.metrics,
        Subject(prompt=target, **params.subject, **params.sampling),
    )
