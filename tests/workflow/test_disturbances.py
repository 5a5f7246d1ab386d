"""Whatever disturbs a run, after the documented recovery it ends with the bytes of an undisturbed one."""

import random
import shutil
import subprocess

import pytest

from tests.workflow.disturbance import Run, disturbed_to_the_end, hashes, recovered, until
from tests.workflow.repository import copy_of_the_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the first test waits for the undisturbed run too

EAR = "results/smoke/erasure/church/ear/seed0"
IMAGES = "results/smoke/images/church/ear/seed0"
# Snakemake makes nothing whose results are all there: what follows is taken away too.
FOLLOWING = ["results/smoke/evaluation/church/ear", "results/smoke/tables"]


def differences(folder, undisturbed):
    """Names of files that are not as they should be, one too many and one too few included."""
    found = hashes(folder)
    names = sorted(found.keys() | undisturbed.hashes.keys())
    return [name for name in names if found.get(name) != undisturbed.hashes.get(name)]


def forget(folder, *names):
    """Take results away, so that their jobs have to run."""
    for name in (*names, *FOLLOWING):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_random_disturbances(undisturbed, tmp_path):
    met, chance = [], random.Random(30)
    while len(met) < 30:
        folder = copy_of_the_repository(tmp_path / f"repository-{len(met)}")
        kinds, jobs = disturbed_to_the_end(folder, chance, 3, undisturbed.seconds)
        met += kinds
        print(f"{len(met)} disturbances: {', '.join(kinds)}; {jobs} of {undisturbed.jobs} jobs", flush=True)
        assert differences(folder, undisturbed) == []
        assert jobs <= undisturbed.jobs  # nothing that was finished has run again
        shutil.rmtree(folder)


def test_what_a_lost_machine_left_half_written(own, undisturbed):
    """Power is lost while a set of edited weights is trained; its outputs and some images were half on the disk."""
    edited = own / EAR / "weights.safetensors"
    half = edited.read_bytes()[:5000]
    forget(own, EAR, f"{IMAGES}/shard1", f"{IMAGES}/shard0/manifest.csv")
    run = Run(own)
    until(lambda: run.jobs("erasure_erase"), "job that erases")
    run.kill_all()
    edited.write_bytes(half)
    edited.with_name(".weights.safetensors.partial-1@elsewhere").write_bytes(half[:100])
    images = sorted((own / IMAGES / "shard0").glob("*.png"))
    images[0].write_bytes(images[0].read_bytes()[:200])
    images[1].write_bytes(b"")
    images[2].with_name(f".{images[2].name}.partial-1@elsewhere").write_bytes(b"")
    again = recovered(own)
    assert again.ended() == 0, again.text()[-4000:]
    assert differences(own, undisturbed) == []


def test_a_full_disk_is_one_line_and_loses_nothing(own, undisturbed):
    forget(own, "results/smoke/images/church/ear", EAR, "results/smoke/figures")
    disk = own / "results"
    kept = shutil.move(disk, own / "kept")
    disk.mkdir()
    used = sum(path.stat().st_blocks * 512 for path in kept.rglob("*"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + 400_000}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounts no file system of a limited size, wanted root")
    try:
        shutil.copytree(kept, disk, dirs_exist_ok=True)
        run = Run(own)
        assert run.ended() != 0
        lines = [line for line in run.text().splitlines() if line.startswith("error: ")]
        assert lines
        assert all("wanted free space on the disk" in line for line in lines)
        subprocess.run(["mount", "-o", "remount,size=1G", str(disk)], check=True)
        again = recovered(own)
        assert again.ended() == 0, again.text()[-4000:]
        assert differences(own, undisturbed) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
