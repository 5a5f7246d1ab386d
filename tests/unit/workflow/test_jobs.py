import errno
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from ear.errors import InputError
from ear.workflow.jobs import failures, job

ROOT = Path(__file__).parents[3]
TIMED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


@pytest.fixture
def snakemake(tmp_path):
    return SimpleNamespace(log=[str(tmp_path / "job.log")])


def log_lines(snakemake):
    with open(snakemake.log[0], encoding="utf-8") as handle:
        return handle.read().splitlines()


def test_the_log_holds_what_was_logged_and_closes_with_time_and_memory(snakemake, capsys):
    with job(snakemake):
        logger = logging.getLogger("ear.images.rendering")
        logger.info("rendering")
        logger.debug("detail")
        logger.warning("one shard is empty")
        warnings.warn("an old argument", UserWarning, stacklevel=1)
    lines = log_lines(snakemake)
    assert TIMED.match(lines[0])
    assert lines[0].endswith("INFO ear.images.rendering: rendering")
    assert any("an old argument" in line for line in lines)
    assert not any("detail" in line for line in lines)
    closing = re.search(r"wall time (\d+\.\d) s, peak memory (\d+) MB$", lines[-1])
    assert closing
    assert 5 < int(closing[2]) < 100_000
    assert capsys.readouterr().err == "WARNING: one shard is empty\n"


TORCHS_OWN = RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")
TORCHS_OWN.__context__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TORCHS_OWN, "No space left on device: wanted free space on the disk"),
        (
            InputError("pairs.csv: row 3: found no safe_prompt, wanted one"),
            "found no safe_prompt, wanted one",
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "1.png"), "wanted free space on the disk"),
        (
            RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"),
            "wanted free space on the disk",
        ),
    ],
)
def test_bad_input_and_a_full_disk_are_one_line_and_leave_logging_as_it_was(snakemake, capsys, error, said):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    with pytest.raises(SystemExit) as caught, job(snakemake):
        raise error
    assert caught.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ") and said in line and line.count("\n") == 1
    log = "\n".join(log_lines(snakemake))
    assert line.removeprefix("error: ") in log and "Traceback" not in log
    assert (root.level, list(root.handlers)) == before


def run_script(tmp_path, body, **environment):
    script = "\n".join(
        [
            "import sys",
            "from types import SimpleNamespace",
            "from ear.workflow.jobs import job",
            f"snakemake = SimpleNamespace(log=[{str(tmp_path / 'job.log')!r}])",
            body,
        ]
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_a_crash_prints_one_traceback_and_is_logged_without_any_slow_import(tmp_path):
    body = "with job(snakemake):\n    print('torch' in sys.modules, 'numpy' in sys.modules)\n    1 / 0"
    crash = run_script(tmp_path, body)
    assert (crash.returncode, crash.stdout) == (1, "False False\n")
    assert crash.stderr.count("Traceback") == 1
    log = (tmp_path / "job.log").read_text()
    assert "Traceback" in log and "ZeroDivisionError" in log and "wall time" in log.splitlines()[-1]


def test_jobs_that_ask_for_no_threads_import_no_slow_library():
    code = (
        "import sys\n"
        "from benchmarks.imports import SCRIPTS, imports_of\n"
        "slow, found = {'torch', 'transformers', 'timm', 'open_clip', 'scipy.stats'}, {}\n"
        "for script in sorted(SCRIPTS.glob('*.py')):\n"
        "    if 'threads=' not in script.read_text() and script.stem not in ('erasure_import_published', 'commands_verify'):\n"
        "        exec(imports_of(script), {})\n"
        "        found |= {name: script.stem for name in slow & set(sys.modules) - set(found)}\n"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "{}\n", done.stderr


@pytest.mark.parametrize(
    ("megabytes", "gpu", "variable", "code"),
    [
        (400, 0, "EAR_SUBMITTED", 1),
        (100, 0, "EAR_SUBMITTED", 0),
        (400, 1, "EAR_SUBMITTED", 0),
        (400, 0, "SLURM_JOB_ID", 0),  # in somebody's allocation
    ],
)
def test_a_submitted_job_on_the_cpu_keeps_to_its_memory(tmp_path, megabytes, gpu, variable, code):
    body = (
        f"snakemake.resources = SimpleNamespace(mem_mb=200, gpu={gpu})\n"
        f"with job(snakemake): print(len(bytearray({megabytes} * 2**20)))"
    )
    done = run_script(tmp_path, body, **{variable: "1"})
    assert done.returncode == code
    assert ("MemoryError" in done.stderr) == bool(code)


def test_what_failed_since_a_moment_is_told_again(tmp_path):
    ends = "ERROR ear.workflow.jobs: clip: found nothing, wanted it"
    for name, text, time in [
        ("old", ends, 10),
        ("clip", f"INFO a\n2026 {ends}\n2026 INFO b", 20),
        ("fine", "INFO a", 30),
    ]:
        (tmp_path / f"{name}.log").write_text(f"2026 {text}\n")
        os.utime(tmp_path / f"{name}.log", (time, time))
    line = f"{tmp_path}/clip.log: clip: found nothing, wanted it"
    assert failures(tmp_path, 15).splitlines()[1:] == [line]
    assert failures(tmp_path / "none", 0) == ""
