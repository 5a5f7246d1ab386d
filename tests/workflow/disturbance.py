"""Snakemake in the background, the ways in which it and its jobs are disturbed, and the documented recovery."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ear.workflow.files import sha256_file
from tests.workflow.repository import SMOKE, interpreter, snakemake

# Jobs' logs and benchmarks tell times; what is below them is about the run, not of it.
OF_THE_RUN = ("logs", "benchmarks")
# So do cells of the card in these files.
TIMED = {"report.html": rb'<td class="cost">[^<]*', "tables/score-card.tex": rb"& [\d.-]+ & [\d.-]+ \\\\"}
TIMEOUT_S = 1200


def until(condition, what, seconds=120):
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)


def hashes(folder):
    """File below results/smoke → sha256, hidden ones too: what is half-written would show."""
    root = folder / "results/smoke"
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    names = {str(path.relative_to(root)): path for path in found}
    return {
        name: _hash(path, TIMED.get(name)) for name, path in names.items() if not name.startswith(OF_THE_RUN)
    }


def _hash(path, left_out):
    return sha256(re.sub(left_out, b"", path.read_bytes())).hexdigest() if left_out else sha256_file(path)


def differences(folder, undisturbed):
    """Names of files that are not as they should be, one too many and one too few included."""
    found = hashes(folder)
    names = sorted(found.keys() | undisturbed.hashes.keys())
    return [name for name in names if found.get(name) != undisturbed.hashes.get(name)]


def forget(folder, *names):
    """Take results away, so that their jobs have to run."""
    for name in names:
        path = folder / "results/smoke" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


class Run:
    """Snakemake, by itself with the smoke experiment, in a process group of its own, as a shell starts it."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.log = folder / f"snakemake-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [interpreter(folder), "-m", "snakemake", *(arguments or SMOKE)],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, seconds=TIMEOUT_S):
        """Exit code, once it has ended."""
        return self.process.wait(timeout=seconds)

    def text(self):
        return self.log.read_text(errors="replace")

    def jobs(self, rule=""):
        """Process ids of the jobs that are at work, of all rules or of one."""
        return [pid for pid in _processes(self.folder) if f".{rule}" in _script(pid)]

    def kill_all(self):
        """End every process of it, also those that it has left behind."""
        for pid in [self.process.pid, *_processes(self.folder)]:
            _signal(pid, signal.SIGKILL)
        self.process.wait()


DISTURBANCES = {
    "Ctrl-C": lambda run, _: os.killpg(run.process.pid, signal.SIGINT),
    "SIGTERM of Snakemake": lambda run, _: run.process.send_signal(signal.SIGTERM),
    "SIGKILL of Snakemake": lambda run, _: run.process.send_signal(signal.SIGKILL),
    "SIGKILL of everything": lambda run, _: run.kill_all(),
    "SIGTERM of a job": lambda run, chance: _signal_one(run.jobs(), signal.SIGTERM, chance),
    "SIGKILL of a job": lambda run, chance: _signal_one(run.jobs(), signal.SIGKILL, chance),
}


def disturbed_to_the_end(folder, chance, times, seconds):
    """Run the experiment, disturbed at random moments; a run that has ended is recovered and started again.

    Args:
        folder: a copy of the repository.
        chance: chooses the moments, the kinds and the jobs that are met.
        times: disturbances, at most: a run that ends well is left alone.
        seconds: what an undisturbed run takes.

    Returns:
        The kinds of disturbance that met a working Snakemake, and how many jobs were finished in all runs.
    """
    kinds, runs = [], [Run(folder)]
    try:
        while len(kinds) < times:
            time.sleep(chance.uniform(0.1, 1.0) * seconds / times)
            kind = chance.choice(sorted(DISTURBANCES))
            if runs[-1].process.poll() is None:
                DISTURBANCES[kind](runs[-1], chance)
                kinds.append(kind)
                if kind.endswith("of a job"):
                    continue  # Snakemake goes on with what does not need it
            if runs[-1].ended() == 0:
                break
            runs.append(recovered(folder))
        if runs[-1].ended() != 0:
            runs.append(recovered(folder))
        assert runs[-1].ended() == 0, f"{kinds}\n{runs[-1].text()[-8000:]}"
    finally:
        runs[-1].kill_all()
    return kinds, sum(finished(run.text()) for run in runs)


def recovered(folder, *arguments):
    """What docs/how-to/slurm.md says to do: unlock, then the same command again."""
    snakemake(folder, *SMOKE, "--unlock")
    return Run(folder, *arguments)


def finished(log):
    """How many jobs the terminal says are finished."""
    return len(re.findall(r"^ *\d+ of \d+  ", log, flags=re.MULTILINE))


def _signal_one(pids, number, chance):
    if pids:
        _signal(chance.choice(pids), number)


def _signal(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _processes(folder):
    """Process ids of all that works in a folder, this process excepted."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == folder.resolve() and int(path.name) != os.getpid():
                found.append(int(path.name))
        except OSError:
            continue
    return sorted(found)


def _script(pid):
    """Name of the script that a process runs, as Snakemake calls its copy: ".snakemake/scripts/tmp….<rule>.py"."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return ""
    return command[1].rpartition("/scripts/")[2] if len(command) > 1 and "/scripts/" in command[1] else ""
