import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from ear.errors import InputError
from ear.workflow.files import atomic_path, read_csv, sha256_file, write_csv, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_when_the_block_ends_without_an_error(tmp_path):
    path = tmp_path / "deep" / "er" / "weights.safetensors"
    with atomic_path(path) as partial:
        partial.write_bytes(b"old")
        assert not path.exists()
        assert partial.parent.parent == path.parent  # the last step is a rename within one file system
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert names(path.parent) == [path.name]


def make_folder(path, **files):
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)


def test_a_folder_takes_the_place_of_a_folder_whole(tmp_path):
    make_folder(tmp_path / "model", old="1", shared="1")
    with atomic_path(tmp_path / "model") as partial:
        make_folder(partial, new="2", shared="2")
        assert names(tmp_path / "model") == ["old", "shared"]
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "model"):
        pass  # nothing is written
    assert names(tmp_path / "model") == ["new", "shared"]
    assert (tmp_path / "model" / "shared").read_text() == "2"
    assert names(tmp_path) == ["model"]


WRITING = """
import sys
from ear.workflow.files import atomic_path
with atomic_path(sys.argv[1]) as partial:
    partial.write_text("first")
    print("at work", flush=True)
    input()
"""


@contextmanager
def writing(path):
    """A job that has written half and waits for a line."""
    command = [sys.executable, "-c", WRITING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "at work\n"
        yield job


def test_what_a_killed_job_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "shard[0]"
    path.write_text("old")
    (tmp_path / "other.shard[0]").write_text("kept")
    with writing(path) as job:
        job.kill()
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 3  # with what the job had written beside it
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["other.shard[0]", path.name]


def test_what_another_job_is_writing_is_left_to_it(tmp_path):
    """Jobs outlive a Snakemake that is killed: for a while the next one's do the same work beside them."""
    path = tmp_path / "weights.safetensors"
    with writing(path) as first:
        write_text(path, "second")
        first.communicate("\n", timeout=60)
    assert first.returncode == 0
    assert path.read_text() == "first"
    assert names(tmp_path) == [path.name]


def test_tables_come_back_as_they_were_written(tmp_path):
    frame = pd.DataFrame(
        {
            "prompt": ["None", "NA", "null", 'says "hé"', "a, b", "two\nlines", " blank "],
            "seed": [2**63 - 1, 0, 1, 2, 3, 4, 5],
            "value": [0.1 + 0.2, 1 / 3, 1e-300, 5e-324, np.nan, -0.0, 123456789.12345679],
        }
    )
    write_csv(tmp_path / "table.csv", frame)
    read = read_csv(tmp_path / "table.csv", ["seed", "prompt"])
    assert read["prompt"].tolist() == frame["prompt"].tolist()
    assert read["seed"].tolist() == frame["seed"].tolist()
    np.testing.assert_array_equal(read["value"], frame["value"])
    write_csv(tmp_path / "again.csv", read)
    assert sha256_file(tmp_path / "again.csv") == sha256_file(tmp_path / "table.csv")


def test_tables_that_a_spreadsheet_saved_are_read(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("\ufeffprompt,,\r\na,1,2\r\n\r\nb,1,2\r\n\r\n".encode())
    read = read_csv(path, ["prompt"])
    assert read["prompt"].fillna("").tolist() == ["a", "", "b"]  # an empty row keeps its number


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "empty"),
        (b"prompt,seed\na,1\ncaf\xe9,2\n", ":3: found bytes that are not UTF-8"),
        (b"prompt\na\n", "found columns prompt, wanted also seed"),
        (b"prompt,seed\na,1,2\n", "more cells than the header"),  # not: "a" taken for a row label
        (b"prompt,seed\na,1\nb,1,2\n", "line 3, saw 3"),
        (b'prompt,seed\n"a,1\n', "not CSV"),
        (b"prompt,seed\na\0b,1\n", ":2: found a NUL character"),
        (b"prompt,prompt\na,b\n", "found column 'prompt' 2 times, wanted it once"),
        (b'prompt,"prompt",x,x,x\na,b,c,d,e\n', "found column 'prompt' 2 times"),
        (None, "not found, wanted a CSV file with columns prompt, seed"),
    ],
)
def test_a_bad_table_is_one_line_that_names_the_file(tmp_path, content, wanted):
    path = tmp_path / "pairs.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_csv(path, ["prompt", "seed"])
    message = str(caught.value)
    assert message.startswith(str(path))
    assert wanted in message
    assert "\n" not in message


def test_json_does_not_depend_on_the_order_of_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1, 2]})
    write_json(tmp_path / "b.json", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_a_library_writes_for_its_owner_alone_can_be_read_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "file") as partial:
            partial.touch(mode=0o600)
        with atomic_path(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / "file").touch(mode=0o600)
    finally:
        os.umask(mask)
    for name in ("file", "folder/file"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
