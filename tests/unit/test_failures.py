import os

from ear.failures import failures, told_again


def test_what_failed_since_a_moment_is_told_again(tmp_path):
    for name, text, time in [
        ("old", "2026 ERROR ear.jobs: a.pt: not found\n", 10),
        (
            "fetch_asset-clip",
            "2026 INFO a\n2026 ERROR ear.jobs: clip: found nothing, wanted it\n2026 INFO b",
            20,
        ),
        ("erase-church", "2026 INFO ear.jobs: wall time 1.0 s", 30),
    ]:
        (tmp_path / f"{name}.log").write_text(text)
        os.utime(tmp_path / f"{name}.log", (time, time))
    lines = failures(tmp_path, 15)
    assert lines == [f"{tmp_path}/fetch_asset-clip.log: clip: found nothing, wanted it"]
    assert told_again(lines).splitlines()[1:] == lines
    assert told_again(failures(tmp_path / "none", 0)) == ""
