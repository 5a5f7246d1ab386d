"""What a reviewer needs of the experiment, in one file."""

from ear.workflow.jobs import job

with job(snakemake):
    import yaml

    from ear.commands.archive import write_archive
    from ear.workflow.provenance import LOCK

    added = {
        "config.yaml": yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True),
        "requirements.lock": LOCK.read_text(encoding="utf-8"),
    }
    write_archive(snakemake.output.archive, snakemake.input, added)
