"""Whatever disturbs a run, after the documented recovery it ends with the bytes of an undisturbed one."""

import random
import shutil
import subprocess

import pytest

from tests.workflow.disturbance import Run, differences, disturbed_to_the_end, forget, recovered, until
from tests.workflow.repository import SMOKE, copy_of_the_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the first test waits for the undisturbed run too

EAR = "erasure/church/ear/seed0"
IMAGES = "images/church/ear/seed0"


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
    results = own / "results/smoke"
    edited, images = results / EAR / "weights.safetensors", results / IMAGES / "shard0"
    half = edited.read_bytes()[:5000]
    forget(own, EAR, f"{IMAGES}/shard1", f"{IMAGES}/shard0/manifest.csv", "evaluation/church/ear")
    wanted = ["results/smoke/evaluation/church/ear/seed0/verdicts.csv", *SMOKE]
    run = Run(own, *wanted)
    until(lambda: run.jobs("erasure_erase"), "job that erases")
    run.kill_all()
    edited.write_bytes(half)
    edited.with_name(".weights.safetensors.partial-1@elsewhere").write_bytes(half[:100])
    first, second, third = sorted(images.glob("*.png"))[:3]
    first.write_bytes(first.read_bytes()[:200])
    second.write_bytes(b"")
    third.with_name(f".{third.name}.partial-1@elsewhere").write_bytes(b"")
    again = recovered(own, *wanted)
    assert again.ended() == 0, again.text()[-4000:]
    assert differences(own, undisturbed) == []


def test_a_full_disk_is_one_line_and_loses_nothing(own, undisturbed):
    """A training meets it, and a rendering where its images do not fit either."""
    shard = "images/church/negative-prompt/seed0/shard0"
    forget(own, shard, EAR)
    wanted = [f"results/smoke/{shard}/manifest.csv", f"results/smoke/{EAR}/weights.safetensors", *SMOKE]
    disk = own / "results"
    kept = shutil.move(disk, own / "kept")
    disk.mkdir()
    used = sum(path.stat().st_blocks * 512 for path in kept.rglob("*"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + 200_000}", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounts no file system of a limited size, wanted root")
    try:
        shutil.copytree(kept, disk, dirs_exist_ok=True)
        run = Run(own, *wanted)
        assert run.ended() != 0
        lines = [line for line in run.text().splitlines() if line.startswith("error: ")]
        assert len(lines) == run.text().count("\nfailed: ") >= 1
        assert all("wanted free space on the disk" in line for line in lines)
        subprocess.run(["mount", "-o", "remount,size=1G", str(disk)], check=True)
        again = recovered(own, *wanted)
        assert again.ended() == 0, again.text()[-4000:]
        assert differences(own, undisturbed) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
