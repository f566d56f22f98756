"""Tiny folders: the layout of the real ones, and transformers itself can read them."""

import json

import torch
from transformers import AutoTokenizer, CLIPModel, LlamaForCausalLM

from mapllava.checkpoint import WeightSource
from mapllava.testing import write_tiny_blip2, write_tiny_clip, write_tiny_llama


def test_blip2_has_the_five_prefixes_over_two_shards(tmp_path):
    folder = write_tiny_blip2(tmp_path)
    weight_map = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert {key.split(".")[0] for key in weight_map} == {
        "query_tokens",
        "vision_model",
        "qformer",
        "language_projection",
        "language_model",
    }
    assert len(set(weight_map.values())) == 2
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "blip-2"
    assert config["vision_config"]["patch_size"] == 14


def test_the_same_seed_writes_the_same_weights_and_leaves_the_global_generator(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    hashes = [WeightSource(write_tiny_blip2(tmp_path / name)).describe()["hash"] for name in "ab"]
    assert torch.equal(torch.rand(1), expected)
    assert hashes[0] == hashes[1]
    assert WeightSource(write_tiny_blip2(tmp_path / "c", seed=1)).describe()["hash"] != hashes[0]


def test_transformers_reads_them(tmp_path):
    _, report = LlamaForCausalLM.from_pretrained(
        write_tiny_llama(tmp_path / "llama"), output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    _, report = CLIPModel.from_pretrained(write_tiny_clip(tmp_path / "clip"), output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_the_tokenizer_starts_with_bos_and_stays_within_the_vocabulary(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(write_tiny_llama(tmp_path))
    ids = tokenizer("Draw the vector map: ≤ 50 elements.")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 1
    assert max(ids) < 320
    assert tokenizer.decode(ids[1:]) == "Draw the vector map: ≤ 50 elements."
