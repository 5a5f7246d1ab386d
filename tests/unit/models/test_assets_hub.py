"""A repository of the hub, served by a small hub of our own: the real client asks it."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from ear.errors import InputError
from ear.models.catalogue import Asset
from ear.models.fetch import fetch_asset
from ear.models.lock import fetched, read_lock

COMMIT, LATER = "1" * 40, "2" * 40
WEIGHTS = save({"weight": np.zeros(5, np.float32)})


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class TinyHub:
    """One repository, me/model: ``commits`` is commit → path → content, the last one is the newest."""

    def __init__(self):
        self.commits, self.asked, self.refusal, self.lie = {}, [], None, {}
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        path = request.path.split("?")[0]
        self.asked.append(path)
        if self.refusal:
            return self.reply(request, 403, **{"X-Error-Code": self.refusal, "X-Error-Message": "no"})
        if match := re.fullmatch(r"/api/models/me/model(?:/revision/(\w+))?", path):
            commit = match[1] or list(self.commits)[-1]
            if commit not in self.commits:
                return self.reply(request, 404, **{"X-Error-Code": "RevisionNotFound"})
            siblings = [self.entry(path, text, "rfilename") for path, text in self.commits[commit].items()]
            return self.reply(request, 200, {"id": "me/model", "sha": commit, "siblings": siblings})
        if match := re.fullmatch(r"/api/models/me/model/tree/(\w+)", path):
            files = [self.entry(path, text, "path") for path, text in self.commits[match[1]].items()]
            return self.reply(request, 200, [file | {"type": "file"} for file in files])
        match = re.fullmatch(r"/me/model/resolve/(\w+)/(.+)", path)
        content = self.commits[match[1]][match[2]]
        facts = {"X-Repo-Commit": match[1], "ETag": f'"{self.hash(match[2], content)}"'}
        return self.reply(request, 200, content, **facts)

    def hash(self, path, content):
        return self.lie.get(path, sha256(content))

    def entry(self, path, content, key):
        digest = self.hash(path, content)
        large = {"lfs": {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 130}}
        extra = large if path.endswith(".safetensors") else {}
        return {key: path, "size": len(content), "oid": "0" * 40, "blobId": "0" * 40} | extra

    @staticmethod
    def reply(request, status, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        request.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(key, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture
def hub(monkeypatch):
    hub = TinyHub()
    hub.commits[COMMIT] = {"config.json": b"{}", "unet/model.safetensors": WEIGHTS, "model.bin": b"old"}
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def model(revision=None, files=("*.json", "*.safetensors")):
    source = {"kind": "hub", "repo": "me/model", "revision": revision, "files": list(files)}
    return Asset.model_validate({"title": "A model", "licence": "MIT", "size": 1, "source": source})


def fetch(folder, asset):
    places = {"root": None, "store": str(folder / "store"), "lock": str(folder / "assets.lock.json")}
    return json.loads(fetch_asset("model", asset, folder / "links", **places).read_text())


def refused(folder, asset):
    with pytest.raises(InputError) as error:
        fetch(folder, asset)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unpinned_repository_is_resolved_once_and_then_kept(hub, tmp_path):
    record = fetch(tmp_path, model())
    assert record["revision"] == COMMIT
    assert record["files"] == {
        "config.json": {"bytes": 2, "sha256": sha256(b"{}")},
        "unet/model.safetensors": {"bytes": len(WEIGHTS), "sha256": sha256(WEIGHTS)},
    }
    assert (tmp_path / "links" / "unet" / "model.safetensors").read_bytes() == WEIGHTS
    assert read_lock(tmp_path / "assets.lock.json")["model"].revision == COMMIT
    hub.commits[LATER] = {"config.json": b"[1]", "unet/model.safetensors": WEIGHTS}
    hub.asked.clear()
    assert fetch(tmp_path, model()) == record
    assert not hub.asked  # a compute node without a network can check it
    (tmp_path / "store" / "model" / "config.json").unlink()
    assert fetched(tmp_path / "store" / "model") is None
    assert fetch(tmp_path, model()) == record  # at the lock's commit


def test_a_pinned_commit_is_fetched_and_another_one_in_the_store_or_lock_refused(hub, tmp_path):
    hub.commits[LATER] = {"config.json": b"[1]"}
    assert fetch(tmp_path, model(COMMIT))["revision"] == COMMIT
    assert f"found revision {COMMIT}, wanted {LATER} as in the catalogue" in refused(tmp_path, model(LATER))
    (tmp_path / "assets.lock.json").unlink()
    assert f"found commit {COMMIT}, wanted {LATER}: remove the folder" in refused(tmp_path, model(LATER))


def test_a_large_file_that_is_not_what_the_hub_states_is_refused_at_the_first_fetch(hub, tmp_path):
    hub.lie["unet/model.safetensors"] = "a" * 64
    assert f"wanted sha256 {'a' * 64} (hub)" in refused(tmp_path, model())
    assert read_lock(tmp_path / "assets.lock.json") == {}


def test_what_is_not_to_be_had_is_one_line(hub, tmp_path):
    line = refused(tmp_path, model(LATER))
    assert line.startswith("model: ") and "RevisionNotFoundError" in line
    assert line.endswith("into <folder>/model/ and name that folder in assets.root")
    assert "found no *.pt, wanted A model" in refused(tmp_path, model(files=["*.pt"]))
    hub.refusal = "GatedRepo"
    told = "accept the licence at https://huggingface.co/me/model, then run `hf auth login`"
    assert told in refused(tmp_path, model(COMMIT))
    hub.server.shutdown()
    hub.server.server_close()
    assert "ConnectError" in refused(tmp_path, model(COMMIT))
