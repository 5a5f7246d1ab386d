"""The mini world's models with their cards, and what assets.yaml has to say of them."""

from pathlib import Path

from ear.workflow.jobs import job

with job(snakemake):
    import yaml

    from ear.workflow.files import write_text
    from ear.workflow.texts import read_json
    from ear.world.cards import QUALITY, write_model

    files, params, output = snakemake.input, snakemake.params, snakemake.output
    trained = {
        "mini-backbone": Path(files.backbone).parent,
        "mini-liquid": Path(files.liquid).parent,
        "mini-classifier": Path(files.classifier).parent,
        "mini-clip": Path(files.clip).parent,
    }
    quality = {name: read_json(trained[name] / QUALITY) for name in ("mini-classifier", "mini-clip")}
    quality["mini-backbone"] = {
        "VQ tokenizer": read_json(files.tokenizer_quality),
        "language model": read_json(files.model_quality),
    }
    quality["mini-liquid"] = {"language model": read_json(files.liquid_quality)}
    making = (params.recipe, params.command, params.logs)
    stated = {
        name: write_model(name, Path(card).parent, trained[name], quality[name], *making)
        for name, card in zip(trained, output.cards, strict=True)
    }
    write_text(output.hashes, yaml.safe_dump(stated, sort_keys=False, width=200))
