"""The plan of the experiment, on the terminal and as JSON."""

from ear.workflow.jobs import job

with job(snakemake):
    from ear.commands.plan.estimate import as_text, make_plan
    from ear.config import parse_config
    from ear.models.catalogue import load_catalogue, shapes_of
    from ear.workflow.files import write_json

    params = snakemake.params
    catalogue = load_catalogue(params.catalogue)
    config = parse_config(params.config, source="the experiment's config", shapes=shapes_of(catalogue))
    plan = make_plan(config, catalogue, params.benchmarks)
    write_json(params.record, plan)
    print(as_text(plan))
