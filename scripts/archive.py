"""What a reviewer needs of the experiment, in one file."""

from pathlib import Path

from ear.jobs import job

with job(snakemake):
    import yaml

    from ear.assets.catalogue import load_catalogue, shapes_of
    from ear.config import parse_config
    from ear.export.archive import write_archive
    from ear.integrity.strays import strays
    from ear.provenance import LOCK, ROOT

    params = snakemake.params
    catalogue = load_catalogue(ROOT / "assets.yaml")
    config = parse_config(params.config, source="the experiment's config", shapes=shapes_of(catalogue))
    added = {
        "config.yaml": yaml.safe_dump(params.config, sort_keys=False, allow_unicode=True),
        "requirements.lock": LOCK.read_text(encoding="utf-8"),
    }
    path = Path(snakemake.output.archive)
    write_archive(path, path.parent, added, left_out=set(strays(config, params.figures)))
