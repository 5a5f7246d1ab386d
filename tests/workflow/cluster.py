"""A single-node Slurm with munge, started in a folder of its own, for tests.

It uses no cgroups and no accounting, as a small cluster may: memory limits are then nobody's but the job's own,
and job states come from squeue alone.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
HOW = "wanted the Debian packages slurm-wlm and munge, as root: .ci/install-system-packages"
SECONDS_TO_START = 60
# Snakemake's executor clears SLURM_CONF from the environment of jobs: their srun looks here.
SYSTEM_CONFIG = Path("/etc/slurm/slurm.conf")

CONFIG = """\
ClusterName=ear
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller_port}
SlurmdPort={node_port}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=3600
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why no Slurm can be started here; empty where one can."""
    lacking = [program for program in PROGRAMS if _which(program) is None]
    if lacking:
        return f"found no {', '.join(lacking)}; {HOW}"
    if SYSTEM_CONFIG.exists():
        return f"found {SYSTEM_CONFIG}: this machine has a Slurm of its own"
    # In a namespace of users of its own, as of `unshare`, root may become nobody else, and munge wants a user of its own.
    alone = Path("/proc/self/uid_map").read_text().split()[2] == "1"
    return f"found no root; {HOW}" if alone or os.getuid() else ""


def _which(program):
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Cluster:
    """A running Slurm."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.host = socket.gethostname().split(".")[0]
        self._daemons = {}

    def run(self, *command, check=True):
        """Run a command of Slurm's; returns what it prints."""
        command = [_which(command[0]), *command[1:]]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert not check or found.returncode == 0, found.stderr
        return found.stdout.strip()

    def start(self):
        """Start munge, the controller and the node, and wait until the node is idle."""
        munge = self.folder / "munge"
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        user = pwd.getpwnam("munge")
        for path in (munge, munge / "key"):
            os.chown(path, user.pw_uid, user.pw_gid)
        SYSTEM_CONFIG.parent.mkdir(exist_ok=True)
        SYSTEM_CONFIG.symlink_to(self.folder / "slurm.conf")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(
                host=self.host,
                folder=self.folder,
                controller_port=_free_port(),
                node_port=_free_port(),
                cpus=os.cpu_count(),
                memory=memory * 9 // 10,
            )
        )
        munge_socket = munge / "socket"
        flags = [f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")]
        self._start("munged", "--foreground", f"--socket={munge_socket}", *flags, user="munge")
        self._wait(munge_socket.exists, "munge's socket")
        self.start_controller()
        self._start("slurmd", "-D", "-N", self.host)
        self._wait(lambda: self.node_state() == "idle", "an idle node")

    def start_controller(self):
        """Start the controller, on the state that an earlier one left."""
        self._start("slurmctld", "-D")

    def stop_controller(self):
        """Stop the controller as a maintenance would."""
        self._stop("slurmctld")

    def node_state(self):
        """State of the node, as sinfo names it; empty while there is no controller."""
        return self.run("sinfo", "-h", "-o", "%t", check=False)

    def jobs(self, states="all"):
        """Job id → state of Slurm's jobs."""
        lines = self.run("squeue", "-h", "-t", states, "-o", "%i %T", check=False).splitlines()
        return dict(line.split() for line in lines)

    def stop(self):
        """Cancel what runs and stop all daemons."""
        self.run("scancel", "--full", "--user", "root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        SYSTEM_CONFIG.unlink(missing_ok=True)

    def _start(self, program, *arguments, user=None):
        with (self.folder / f"{program}.out").open("ab") as log:
            self._daemons[program] = subprocess.Popen(
                [_which(program), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user
            )

    def _stop(self, program):
        daemon = self._daemons.pop(program, None)
        if daemon is not None:
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _wait(self, condition, what):
        deadline = time.monotonic() + SECONDS_TO_START
        while not condition():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            assert not dead and time.monotonic() < deadline, f"no {what}; {dead} ended:\n{self._logs()}"
            time.sleep(0.3)

    def _logs(self):
        paths = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in paths)


@contextmanager
def running():
    """A Slurm that runs inside of the block, in a folder that munge's own user can reach."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def _free_port():
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]
