"""Downloads from a server that fails as servers do."""

import hashlib
import io
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ear.assets.catalogue import Download
from ear.assets.download import HIDDEN, Unreachable, download, put_in_place
from ear.errors import InputError

SOON = (0.0, 0.0, 0.0)
CONTENT = bytes(range(256)) * 20_000  # 5 MB: several pieces


class Server:
    """Serves ``files`` by path; each request takes the first of the path's ``faults``, if there is one.

    A fault is a status, ("drop", n): the connection ends after n bytes, or ("flip", n): byte n is wrong.
    """

    def __init__(self):
        self.files, self.faults, self.ranges = {}, {}, []
        self.takes_ranges, self.tag = True, None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        path = request.path.split("?")[0]
        self.ranges.append(request.headers.get("Range"))
        fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if isinstance(fault, int) or path not in self.files:
            return request.send_error(fault or 404)
        content = self.files[path]
        tag = self.tag or f'"{hashlib.sha256(content).hexdigest()}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        start = 0
        if wanted and self.takes_ranges and request.headers.get("If-Range") == tag:
            start = int(wanted[1])
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.send_header("Content-Length", "0")
                return request.end_headers()
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("ETag", tag)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        body = bytearray(content[start:])
        if fault and fault[0] == "flip":
            body[fault[1]] ^= 1
        request.wfile.write(body[: fault[1]] if fault and fault[0] == "drop" else body)
        request.close_connection = True


def serving():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


fixture = pytest.fixture(serving, name="server")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def fetch(server, folder, path="/a.dat", wanted=None, pauses=SOON, **settings):
    source = Download(url=server.url + path, **settings)
    whole, found = download(source, folder, wanted, pauses)
    put_in_place(source, whole, folder)
    return found


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    assert fetch(server, tmp_path, wanted=sha256(CONTENT)) == sha256(CONTENT)
    assert (tmp_path / "a.dat").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.dat"]


def test_a_dropped_connection_is_resumed_where_it_ended(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("drop", 2_000_000), ("drop", 1_500_000)]
    assert fetch(server, tmp_path) == sha256(CONTENT)
    first, *resumed = server.ranges
    starts = [int(re.fullmatch(r"bytes=(\d+)-", one)[1]) for one in resumed]
    assert first is None and 0 < starts[0] <= 2_000_000 and starts[0] < starts[1] <= 3_500_000


def test_a_server_that_gets_further_each_time_is_asked_as_long_as_it_takes(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("drop", 1_100_000)] * 4
    assert fetch(server, tmp_path, pauses=(0.0,)) == sha256(CONTENT)


def test_a_server_without_ranges_is_asked_for_all_of_it_again(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("drop", 2_000_000)]
    server.takes_ranges = False
    assert fetch(server, tmp_path) == sha256(CONTENT)


def test_a_file_that_changed_between_two_tries_is_not_mixed(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("drop", 2_000_000)]
    with pytest.raises(Unreachable):
        fetch(server, tmp_path, pauses=())
    server.files["/a.dat"] = CONTENT[::-1]
    assert fetch(server, tmp_path) == sha256(CONTENT[::-1])


def test_without_a_strong_etag_a_transfer_begins_anew(server, tmp_path):
    server.files["/a.dat"], server.tag = CONTENT, 'W/"1"'
    server.faults["/a.dat"] = [("drop", 2_000_000)]
    assert fetch(server, tmp_path) == sha256(CONTENT)
    assert server.ranges == [None, None]


def test_a_server_that_is_down_for_a_while_is_waited_for(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [500, 503]
    assert fetch(server, tmp_path) == sha256(CONTENT)


def test_a_server_that_stays_down_is_given_up(server, tmp_path):
    server.faults["/a.dat"] = [500] * 9
    with pytest.raises(Unreachable, match="500"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1 + len(SOON)


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(InputError, match=r"a\.dat: found 404 Not Found, wanted the file"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1


def test_no_network_is_unreachable(tmp_path):
    source = Download(url="http://127.0.0.1:9/a.dat")
    with pytest.raises(Unreachable, match="Connection refused"):
        download(source, tmp_path, None, (0.0,))


@pytest.mark.parametrize("settings", [{"wanted": sha256(CONTENT)}, {"size": len(CONTENT) + 1}])
def test_a_wrong_byte_or_size_takes_no_name_and_the_next_try_begins_anew(server, tmp_path, settings):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("flip", 7)]
    with pytest.raises(
        InputError, match=r"found 5120000 bytes with sha256 .* wanted (sha256|5120001)"
    ) as error:
        fetch(server, tmp_path, **settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.dat").exists() and not list((tmp_path / HIDDEN).glob("*.part"))
    assert fetch(server, tmp_path, wanted=sha256(CONTENT)) == sha256(CONTENT)


def test_a_killed_job_leaves_what_the_next_one_goes_on_from(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    server.faults["/a.dat"] = [("drop", 3_000_000)]
    job = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from ear.assets import download as module
        from ear.assets.catalogue import Download
        module.time.sleep = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # while it waits to try again
        module.download(Download(url="{server.url}/a.dat"), Path("{tmp_path}"), None, (1.0,))
        """
    )
    assert subprocess.run([sys.executable, "-c", job]).returncode == -signal.SIGKILL
    assert fetch(server, tmp_path) == sha256(CONTENT)
    assert server.ranges[-1] is not None


def test_a_whole_transfer_that_was_not_put_in_place_is_not_sent_again(server, tmp_path):
    server.files["/a.dat"] = CONTENT
    source = Download(url=f"{server.url}/a.dat")
    download(source, tmp_path, None, ())
    assert download(source, tmp_path, None, ())[1] == sha256(CONTENT)
    assert server.ranges == [None, f"bytes={len(CONTENT)}-"]


def test_an_archive_is_unpacked_and_goes(server, tmp_path):
    server.files["/a.zip"] = zipped(
        **{"val/1.jpg": b"1", "val/2.jpg": b"2", "val/": b"", "other/3.jpg": b"3"}
    )
    fetch(server, tmp_path, "/a.zip", unpack=["val/*.jpg"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["val"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "val").iterdir()} == {
        "1.jpg": b"1",
        "2.jpg": b"2",
    }


def test_members_are_found_in_any_folder_of_a_flat_archive(server, tmp_path):
    server.files["/a"] = zipped(**{"x/checkpoint/config.json": b"{}", "x/checkpoint/optimizer.pt": b"0"})
    fetch(server, tmp_path, "/a", name="a.zip", unpack=["config.json", "model.dat"], flat=True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "val/../../evil.txt", "val\\..\\evil.txt"])
def test_an_archive_with_a_member_outside_of_its_folder_is_refused(server, tmp_path, name):
    server.files["/a.zip"] = zipped(**{"val/1.jpg": b"1", name: b"evil"})
    folder = tmp_path / "store" / "images"
    with pytest.raises(InputError, match="wanted none outside of the archive"):
        fetch(server, folder, "/a.zip", unpack=["*"])
    assert [path.name for path in folder.iterdir()] == [HIDDEN]
    assert not list(tmp_path.rglob("evil.txt"))


def test_an_archive_with_a_link_is_refused(server, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("val/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    server.files["/a.zip"] = buffer.getvalue()
    with pytest.raises(InputError, match="found link val/link"):
        fetch(server, tmp_path, "/a.zip", unpack=["val/*"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>quota exceeded</html>", "found an HTML page"),
        (b"PK\x03\x04 and nothing after it", "no whole zip archive"),
        (zipped(**{"other/1.jpg": b"1"}), "found no member like val/\\*"),
        (
            zipped(**{"val/1.jpg": b"1" * 100}).replace(b"1" * 100, b"1" * 99 + b"2"),
            "not a whole zip archive",
        ),
    ],
)
def test_an_archive_that_is_none_or_another_one_is_one_line(server, tmp_path, content, told):
    server.files["/a.zip"] = content
    with pytest.raises(InputError, match=told):
        fetch(server, tmp_path, "/a.zip", unpack=["val/*"])
    assert not (tmp_path / "val").exists()


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("/weights.bin", b"\n<!doctype HTML><title>Sign in</title>", "an HTML page"),
        ("/a.csv", b"<html>moved</html>", "an HTML page"),
        ("/weights.pt", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("/weights.pt", b"", "an empty file"),
        ("/a.safetensors", b"\x08" + bytes(7) + b"{}      ....", "20 bytes, and its header tells of 16"),
        ("/a.json", b'{"a": [1, 2', "JSON that is cut off"),
    ],
)
def test_an_answer_that_is_another_file_is_one_line_and_not_kept(server, tmp_path, path, content, told):
    server.files[path] = content
    with pytest.raises(InputError) as refused:
        fetch(server, tmp_path, path, wanted=sha256(content))
    assert str(refused.value).startswith(f"{server.url}{path}: found ") and told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_flat_archive_with_a_name_twice_is_refused(server, tmp_path):
    server.files["/a.zip"] = zipped(**{"a/config.json": b"1", "b/config.json": b"2"})
    with pytest.raises(InputError, match=r"found config\.json twice"):
        fetch(server, tmp_path, "/a.zip", unpack=["config.json"], flat=True)


def test_a_half_unpacked_archive_is_unpacked_again(server, tmp_path):
    stale = tmp_path / ".unpacked" / "val"
    os.makedirs(stale)
    (stale / "half.jpg").write_bytes(b"0")
    server.files["/a.zip"] = zipped(**{"val/1.jpg": b"1"})
    fetch(server, tmp_path, "/a.zip", unpack=["val/*"])
    assert [path.name for path in (tmp_path / "val").iterdir()] == ["1.jpg"]
