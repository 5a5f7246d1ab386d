import io
import logging

import pytest

from ear.workflow.terminal import Terminal, because


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown():
    """Records of Snakemake's logger → what the terminal shows of them."""

    def show(*records, dry=False, stream=None):
        stream = stream or io.StringIO()
        handler = Terminal(stream, dry=dry, at_rest=lambda: "results/mini/report.html")
        for record in records:
            handler.handle(logging.makeLogRecord(record))
        return stream.getvalue()

    return show


def job(jobid, message, reason=""):
    return {"event": "job_info", "jobid": jobid, "rule_name": "rule", "rule_msg": message, "reason": reason}


def done(jobid, done, total):
    return {"event": "job_finished", "job_id": jobid}, {"event": "progress", "done": done, "total": total}


def said(message, level=logging.INFO):
    return {"msg": message, "levelno": level}


def test_a_finished_job_is_a_line_with_counter_time_and_message(shown):
    text = shown(
        said("Building DAG of jobs..."),
        {"event": "run_info", "msg": "Job stats: …", "stats": {"erase": 1, "total": 86}},
        job(7, "erase church · ear · W = 8"),
        job(9, "judge church · ear · seed 0"),
        said("a word"),  # what is not known as an aside is shown
        *done(9, 8, 86),
        *done(7, 12, 86),
    )
    assert text.splitlines() == [
        "86 jobs",
        "a word",
        " 8 of 86  0:00:00  judge church · ear · seed 0",
        "12 of 86  0:00:00  erase church · ear · W = 8",
    ]


def test_a_line_wipes_the_bar_of_a_job_from_a_terminal(shown):
    assert shown(said("a word"), stream=Screen()) == "\r\x1b[Ka word\n"


def test_a_failed_job_is_named_with_its_logs_and_once_more_when_tried_again(shown):
    error = {"event": "job_error", "jobid": 7, "rule_name": "erase", "log": ["logs/erase.log", "5.log"]}
    text = shown(
        job(7, "erase church"),
        error | {"rule_msg": "SLURM-job '5' failed"},
        said("RuleException:\nCalledProcessError in file erase.smk", logging.ERROR) | {"event": "error"},
        said("Trying to restart job 7."),
    )
    assert text.splitlines() == [
        "failed: erase church",
        "    SLURM-job '5' failed",
        "    logs/erase.log",
        "    5.log",
        "again: erase church",
    ]


def test_a_dry_run_lists_jobs_with_their_reasons_then_counts_them_once(shown):
    stats = {"event": "run_info", "msg": "job  count\nerase  1", "stats": {"total": 1}}
    text = shown(stats, job(7, "erase church", "Code has changed since last execution"), stats, dry=True)
    assert text == "erase church\n    Code has changed since last execution\n\njob  count\nerase  1\n"


def test_with_nothing_to_do_a_run_says_where_the_report_is_and_a_dry_run_does_not(shown):
    nothing = said("Nothing to be done (all requested files are present and up to date).")
    assert shown(nothing).splitlines()[1:] == ["results/mini/report.html"]
    assert shown(nothing, dry=True).splitlines()[1:] == []


def test_a_reason_has_a_few_files_and_none_that_other_jobs_will_write():
    written = "Input files updated by another job: e"
    many = "Missing output files: d, c, b, a"
    assert because(f"{many}; {written}") == "Missing output files: a, b, c and 1 more"
    assert because(written) == written
    params = "Params have changed since last execution: before a, b, c, d"
    assert because(f"Code has changed; {params}") == f"Code has changed; {params}"
