"""An erased model as a plain transformers folder with a model card."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake, threads=snakemake.params.threads):
    from ear import load
    from ear.commands.export import export_model
    from ear.prompts.tables import PROMPT_COLUMNS
    from ear.workflow.files import read_csv

    source, params = snakemake.input, snakemake.params
    prompts = read_csv(source.prompts, PROMPT_COLUMNS)
    target = prompts.loc[prompts["prompt_set"] == "target", "prompt"].iloc[0]
    export_model(
        Path(snakemake.output.card).parent,
        load(Path(source.backbone).parent, params.dtype, device="cpu"),
        source.edited,
        source.metrics,
        {"prompt": target, **params.subject, **params.sampling},
    )
