"""The mini world's models with their cards, and what assets.yaml has to say of them."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    import yaml

    from ear.workflow.files import write_text
    from ear.world.cards import qualities, write_model

    files, params, output = snakemake.input, snakemake.params, snakemake.output
    trained = {
        "mini-backbone": Path(files.backbone).parent,
        "mini-classifier": Path(files.classifier).parent,
        "mini-clip": Path(files.clip).parent,
    }
    quality = qualities(
        {"VQ tokenizer": files.tokenizer_quality, "language model": files.model_quality},
        {name: trained[name] for name in ("mini-classifier", "mini-clip")},
    )
    making = (params.recipe, params.command, params.logs)
    stated = {
        name: write_model(name, Path(card).parent, trained[name], quality[name], *making)
        for name, card in zip(trained, output.cards, strict=True)
    }
    write_text(output.hashes, yaml.safe_dump(stated, sort_keys=False, width=200))
