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


@pytest.mark.parametrize(
    "layout", ["whole", "shards", "bin", "legacy bin", "bin shards", "legacy bin shards"]
)
def test_every_layout_reads_the_same(folder, layout):
    if layout == "whole":
        save_file(TENSORS, str(folder / "model.safetensors"))
    elif layout == "shards":
        write_shards(folder)
    elif layout.endswith("bin"):
        torch.save(TENSORS, folder / "pytorch_model.bin", _use_new_zipfile_serialization=layout == "bin")
    else:
        torch.save(TENSORS, folder / "part.bin", _use_new_zipfile_serialization=layout == "bin shards")
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


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_bin_file_is_not_run(folder, new_format):
    path = folder / "pytorch_model.bin"
    torch.save({"a.x": print}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(
        MapLLaVAError, match=r"pytorch_model\.bin' cannot be read as tensors.*nothing in it was run"
    ):
        read(WeightSource(folder))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 9976576152\n"


def whole(folder):
    save_file(TENSORS, str(folder / "model.safetensors"))


def whole_bin(folder):
    torch.save(TENSORS, folder / "pytorch_model.bin")


def legacy_bin(folder):
    torch.save(TENSORS, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def shorten(name, cut=-2):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:cut])


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content)


PACKED = b'{"model_type": "llama", "%s": {"quant_method": "%s"}}'
DAMAGES = {
    "safetensors pointer": (
        [put("model.safetensors", POINTER)],
        r"model\.safetensors' is a pointer of git LFS.*git lfs pull",
    ),
    "bin pointer": ([put("pytorch_model.bin", POINTER)], r"pytorch_model\.bin' is a pointer of git LFS"),
    "shard pointer": (
        [write_shards, put("two.safetensors", POINTER)],
        r"two\.safetensors' is a pointer of git LFS",
    ),
    "config pointer": ([whole, put("config.json", POINTER)], r"config\.json' is a pointer of git LFS"),
    "index pointer": (
        [put("model.safetensors.index.json", POINTER)],
        r"index\.json' is a pointer of git LFS",
    ),
    "cut safetensors": (
        [whole, shorten("model.safetensors")],
        r"model\.safetensors' is cut short or .*[\d,]+ bytes.*: download it again",
    ),
    "cut header": (
        [whole, shorten("model.safetensors", 30)],
        r"model\.safetensors' is cut short or .* it has 30 bytes",
    ),
    "empty": ([put("model.safetensors", b"")], r"model\.safetensors' is cut short or .* it has 0 bytes"),
    "a page of the hub": ([put("model.safetensors", b"<!DOCTYPE html>" * 9)], r"begins with b'<!DOCTYP'"),
    "longer": (
        [whole, lambda f: (f / "model.safetensors").open("ab").write(b"x")],
        r"model\.safetensors' is .*file not fully covered",
    ),
    "cut shard": (
        [write_shards, shorten("one.safetensors")],
        r"one\.safetensors' is cut short or .*download it again",
    ),
    "cut bin": (
        [whole_bin, shorten("pytorch_model.bin")],
        r"pytorch_model\.bin' is cut short .*the end is missing",
    ),
    "cut legacy bin": (
        [legacy_bin, shorten("pytorch_model.bin")],
        r"pytorch_model\.bin' cannot be read as tensors",
    ),
    "cut index": (
        [write_shards, shorten("model.safetensors.index.json")],
        r"index\.json' is damaged or cut short",
    ),
    "cut config": ([whole, shorten("config.json")], r"config\.json' is damaged or cut short"),
    "training checkpoint": (
        [lambda f: torch.save({"state_dict": TENSORS, "epoch": 3}, f / "pytorch_model.bin")],
        r"holds more than names and tensors \(state_dict, epoch\): it is a training checkpoint",
    ),
    "index of no names": (
        [put("model.safetensors.index.json", b'{"weight_map": {"a.x": 5}}')],
        r"index\.json' is damaged: its weight_map",
    ),
    "index of a list": (
        [put("model.safetensors.index.json", b'{"weight_map": ["one.safetensors"]}')],
        r"index\.json' is damaged: its weight_map",
    ),
    "bin without names": (
        [lambda f: torch.save(dict(enumerate(TENSORS.values())), f / "pytorch_model.bin")],
        r"holds more than names and tensors \(0, 1, 2\)",
    ),
    "two whole forms": (
        [whole, write_shards],
        r"model\.safetensors and the files that .*index\.json names are both",
    ),
    "no weights": ([], "no weight file"),
    "other weights": ([put("model.gguf", b"GGUF")], r"other forms than these are not read: model\.gguf"),
    "shards without index": (
        [write_shards, lambda f: (f / "model.safetensors.index.json").unlink()],
        r"shards need their index, .*: one\.safetensors, two\.safetensors",
    ),
    "GPTQ": ([whole, put("config.json", PACKED % (b"quantization_config", b"gptq"))], "quantised with gptq"),
    "AWQ": (
        [whole, put("config.json", PACKED % (b"quantization_config", b"awq"))],
        "quantised with awq .*in 16 or 32",
    ),
    "bitsandbytes": (
        [whole, put("config.json", b'{"text_config": {"quantization_config": {"load_in_4bit": true}}}')],
        "quantised with bitsandbytes",
    ),
    "old GPTQ": (
        [whole, put("quantize_config.json", b"{}")],
        r"quantised with GPTQ .*there is a quantize_config\.json",
    ),
}


@pytest.mark.parametrize(("steps", "message"), DAMAGES.values(), ids=DAMAGES)
def test_what_cannot_be_loaded_is_named(steps, message, folder):
    for step in steps:
        step(folder)
    with pytest.raises(MapLLaVAError, match=message) as error:
        read(WeightSource(folder))
    assert str(folder) in str(error.value)


STALE = {
    "index of other files": [
        whole,
        put("model.safetensors.index.json", b'{"weight_map": {"a.x": "gone.safetensors"}}'),
    ],
    "index without files": [whole, put("model.safetensors.index.json", b"{}")],
    "index of the file itself": [
        whole,
        put("model.safetensors.index.json", b'{"weight_map": {"a.x": "model.safetensors"}}'),
    ],
    "whole file cut short": [whole, shorten("model.safetensors"), write_shards],
    "whole file a pointer": [put("model.safetensors", POINTER), write_shards],
    "safetensors cut short beside bin": [whole, shorten("model.safetensors"), whole_bin],
    "safetensors index beside bin": [write_shards, lambda f: (f / "one.safetensors").unlink(), whole_bin],
    "both formats whole": [whole, legacy_bin],
}


@pytest.mark.parametrize(("case", "steps"), STALE.items(), ids=STALE)
def test_what_is_whole_is_taken_and_the_rest_named(case, steps, folder, monkeypatch):
    said = []
    monkeypatch.setattr("mapllava.checkpoint.source.print_log", lambda text, **_: said.append(text))
    for step in steps:
        step(folder)
    found = read(WeightSource(folder))
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)
    assert bool(said) == (case not in ("index of the file itself", "both formats whole"))
    assert all(text.startswith("left aside: ") and str(folder) in text for text in said)


NO_MODEL = {
    "empty": ([], r"no config\.json in .*; point it at a model folder"),
    "adapter": (["adapter_config.json"], "holds an adapter of peft"),
    "Meta": (["params.json", "consolidated.00.pth"], "Meta's original layout"),
    "GGUF": (["q4.gguf"], "holds GGUF"),
    "cache": (["snapshots/0123/config.json"], r"is it .*snapshots/0123\?"),
    "a folder above": (["vicuna/config.json"], r"is it .*vicuna\?"),
}


@pytest.mark.parametrize(("files", "message"), NO_MODEL.values(), ids=NO_MODEL)
def test_a_folder_that_is_no_models(files, message, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(MapLLaVAError, match=message):
        WeightSource(tmp_path)


def test_a_file_is_no_folder(folder):
    whole(folder)
    with pytest.raises(MapLLaVAError, match="is a file: name the model's folder"):
        WeightSource(folder / "model.safetensors")


def test_shapes_without_reading(folder):
    whole(folder)
    with torch.device("meta"):
        found = read(WeightSource(folder))
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in TENSORS.items()
    }
    assert all(value.is_meta for value in found.values())


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


@pytest.mark.slow
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
    online = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert online.stdout.split() == [COMMIT, "True"], online.stderr
    environment.update(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    offline = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert offline.stdout.split() == [COMMIT, "True"], offline.stderr
