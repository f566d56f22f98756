"""Where weights come from: folders, shards, .bin files, the hub's cache, and what is said if not."""

import json
import shutil

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
