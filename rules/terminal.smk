# Terminal: a line a finished job. All that Snakemake says of a run is in .snakemake/log, and on the terminal with --verbose.

from snakemake.logging import DefaultFormatter, logger

from ear.report.summary import summary
from ear.workflow.terminal import Terminal


def ending():
    """What a run ends with: a small table and the report's path, where the report was asked for."""
    wanted = (file for job in workflow.dag.targetjobs for file in (*job.input, *job.output))
    if paths.report not in wanted:
        return ""
    return summary(
        paths.table("metrics.csv"),
        paths.report,
        list(experiment.concepts),
        experiment.evaluation.shown_method,
    )


class WholeFormatter(DefaultFormatter):
    """Snakemake's own, whose entry of a job with a message leaves out files, wildcards and resources."""

    def format_job_info(self, msg):
        whole = super().format_job_info(msg | {"rule_msg": None})
        return f"{whole}\n    message: {msg['rule_msg']}"


for handler in list(logger.handlers):
    handler.setFormatter(
        WholeFormatter(workflow.output_settings.quiet, workflow.output_settings.show_failed_logs)
    )
    shown = workflow.is_main_process and not workflow.output_settings.verbose
    if shown and handler.name == "DefaultStreamHandler":
        terminal = Terminal(handler.stream, dry=workflow.output_settings.dryrun, at_rest=ending)
        terminal.setFormatter(handler.formatter)
        for one in handler.filters:
            terminal.addFilter(one)
        logger.removeHandler(handler)
        logger.addHandler(terminal)
