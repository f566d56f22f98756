"""Where weights come from: folders, shards, .bin files, the hub's cache, and what is said if not."""

import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from mapllava.checkpoint import WeightSource
from mapllava.errors import MapLLaVAError
from mapllava.testing import write_tiny_llama

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORS = {"a.x": torch.arange(3.0), "a.y": torch.ones(2), "b.z": torch.zeros(4)}


def read(source, wanted=lambda _: True):
    return {key: get() for key, get in source.tensors(wanted) if get is not None}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "toy"}')
    return tmp_path


def write_shards(folder):
    save_file({k: v for k, v in TENSORS.items() if k != "b.z"}, str(folder / "one.safetensors"))
    save_file({"b.z": TENSORS["b.z"]}, str(folder / "two.safetensors"))
    index = {"a.x": "one.safetensors", "a.y": "one.safetensors", "b.z": "two.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


@pytest.mark.parametrize("layout", ["whole", "shards", "bin", "bin shards"])
def test_every_layout_reads_the_same(folder, layout):
    if layout == "whole":
        save_file(TENSORS, str(folder / "model.safetensors"))
    elif layout == "shards":
        write_shards(folder)
    elif layout == "bin":
        torch.save(TENSORS, folder / "pytorch_model.bin")
    else:
        torch.save(TENSORS, folder / "part.bin")
        index = {"weight_map": dict.fromkeys(TENSORS, "part.bin")}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    found = read(WeightSource(folder))
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)
    assert WeightSource(folder).config() == {"model_type": "toy"}


def test_unwanted_tensors_are_named_but_not_read(folder):
    write_shards(folder)
    (folder / "two.safetensors").unlink()  # holds nothing that is wanted
    listed = list(WeightSource(folder).tensors(lambda key: key.startswith("a.")))
    assert [key for key, get in listed if get is None] == ["b.z"]
    assert [key for key, get in listed if get is not None] == ["a.x", "a.y"]


def test_a_missing_shard_is_named(folder):
    write_shards(folder)
    (folder / "two.safetensors").unlink()
    with pytest.raises(MapLLaVAError, match=r"names two\.safetensors"):
        read(WeightSource(folder))


def test_code_in_a_bin_file_is_not_run(folder):
    torch.save({"a.x": print}, folder / "pytorch_model.bin")
    with pytest.raises(Exception, match="Weights only load failed"):
        read(WeightSource(folder))


def test_a_folder_without_config_or_weights(tmp_path):
    with pytest.raises(MapLLaVAError, match=r"no config\.json"):
        WeightSource(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MapLLaVAError, match="no weight file"):
        read(WeightSource(tmp_path))


def test_description_tells_weights_apart(folder, tmp_path):
    save_file(TENSORS, str(folder / "model.safetensors"))
    first = WeightSource(folder).describe()
    assert first == WeightSource(folder).describe()
    assert first["id"] == str(folder)
    assert first["revision"] is None
    save_file({**TENSORS, "a.y": torch.zeros(2)}, str(folder / "model.safetensors"))
    assert WeightSource(folder).describe()["hash"] != first["hash"]


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub's cache with a tiny LLaMA in it, and no network."""
    repo = tmp_path / "hub" / "models--tiny--llama"
    write_tiny_llama(repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repo


def test_a_hub_id_is_found_in_the_cache(hub_cache):
    source = WeightSource("tiny/llama")
    assert source.config()["model_type"] == "llama"
    assert "lm_head.weight" in read(source)
    assert source.describe()["revision"] == COMMIT


def test_a_model_out_of_reach_tells_what_to_do(hub_cache):
    with pytest.raises(MapLLaVAError, match="HF_ENDPOINT before starting Python"):
        WeightSource("tiny/opt")


def test_an_incomplete_cache_is_no_success(hub_cache):
    snapshot = hub_cache / "snapshots" / COMMIT
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(MapLLaVAError, match=r"no weight file|HF_ENDPOINT"):
        read(WeightSource("tiny/llama"))
    shutil.rmtree(snapshot)
    with pytest.raises(MapLLaVAError):
        WeightSource("tiny/llama")


def test_neither_folder_nor_hub_id():
    with pytest.raises(MapLLaVAError, match="neither a folder here nor a hub id"):
        WeightSource("/no/such/folder/anywhere")


@pytest.fixture
def mirror(tmp_path):
    """A local server that answers as the hub does for ``tiny/llama``; yields its address."""
    folder = write_tiny_llama(tmp_path / "served")

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(False)

        def do_GET(self):
            self.answer(True)

        def answer(self, with_body):
            name = self.path.rsplit("/", 1)[-1]
            if self.path.startswith("/api/models/tiny/llama/tree/"):
                files = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                    for file in folder.iterdir()
                ]
                body = json.dumps(files).encode()
            elif self.path.startswith("/api/models/tiny/llama"):
                files = [{"rfilename": file.name} for file in folder.iterdir()]
                body = json.dumps({"id": "tiny/llama", "sha": COMMIT, "siblings": files}).encode()
            elif self.path.startswith("/tiny/llama/resolve/") and (folder / name).is_file():
                body = (folder / name).read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{name}"', "Content-Length": str(len(body))}
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_mirror_serves_what_the_hub_would(mirror, tmp_path):
    """In a process of its own: the endpoint is read once, at import."""
    script = (
        "from mapllava.checkpoint import WeightSource\n"
        "source = WeightSource('tiny/llama')\n"
        "keys = [key for key, get in source.tensors(lambda _: True) if get is not None]\n"
        "print(source.describe()['revision'], 'lm_head.weight' in keys)"
    )
    hub = {"HF_ENDPOINT": mirror, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    command = [sys.executable, "-c", script]
    environment = {**os.environ, **hub}
    online = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert online.stdout.split() == [COMMIT, "True"], online.stderr
    environment.update(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    offline = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert offline.stdout.split() == [COMMIT, "True"], offline.stderr
