"""Families of language models and forms of their files: parity with transformers' own classes."""

import json

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlavaForConditionalGeneration

from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.testing import write_tiny_decoder, write_tiny_llava
from mapllava.testing.tiny_hf import TINY_FAMILIES, TINY_LLAMA
from tests.models.decoders.causal import CausalQueries
from tests.models.decoders.words import IDS, WORDS

D, S, C, Q = 32, 20, 10, 9
PROMPT = torch.tensor([IDS]).expand(2, -1)
ARCHITECTURE = {**TINY_LLAMA, "model_type": "llama", "num_attention_heads": 2, "num_key_value_heads": 1}


@pytest.fixture
def scene():
    torch.manual_seed(2)
    return torch.randn(2, S, C)


def difference(decoder, backbone, scene) -> float:
    """Largest distance to what transformers gives for the same embeddings, causally."""
    queries = CausalQueries(Q, D)
    with torch.no_grad():
        ours = decoder(scene, queries)
        prompt = backbone.get_input_embeddings()(PROMPT)
        embeddings = torch.cat([prompt, decoder.project(scene) * decoder.scale, queries(2)], dim=1)
        theirs = backbone.eval()(inputs_embeds=embeddings).last_hidden_state[:, -Q:]
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_parity_under_a_causal_mask(family, tmp_path, scene):
    folder = write_tiny_decoder(tmp_path, family)
    reference, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    assert type(decoder.backbone) is type(reference.model)
    assert difference(decoder, reference.model, scene) <= 1e-5


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_what_is_special_about_a_family_is_loaded(family, tmp_path):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(write_tiny_decoder(tmp_path, family)))
    attention = decoder.backbone.layers[0].self_attn
    special = attention.q_proj.bias if family == "qwen2" else attention.k_norm.weight - 1
    assert special.abs().max() > 0.01
    assert attention.k_proj.out_features < attention.q_proj.out_features  # grouped heads


@pytest.mark.parametrize(("suffix", "shards"), [("safetensors", 3), ("bin", 1), ("bin", 3)])
def test_every_form_of_files_gives_the_same_model(suffix, shards, tmp_path):
    one = LLMMapDecoder(C, **WORDS, pretrained=str(write_tiny_decoder(tmp_path / "one")))
    folder = write_tiny_decoder(tmp_path / "other", suffix=suffix, num_shards=shards)
    assert len(list(folder.glob(f"*.{suffix}"))) == shards
    other = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    tensors = other.backbone.state_dict()
    assert all(torch.equal(value, tensors[key]) for key, value in one.backbone.state_dict().items())


def test_llava_as_transformers_saves_it(tmp_path, scene):
    folder = write_tiny_llava(tmp_path)
    reference, report = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    assert difference(decoder, reference.model.language_model, scene) <= 1e-5


def test_llava_as_transformers_names_it_in_memory(tmp_path, scene):
    """The names of transformers 5, which a plain torch.save of the state writes."""
    folder = write_tiny_llava(tmp_path)
    reference = LlavaForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(reference.state_dict(), folder / "pytorch_model.bin")
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    assert difference(decoder, reference.model.language_model, scene) <= 1e-5


@pytest.mark.parametrize("with_tower", [True, False])
def test_llava_in_its_original_layout_is_the_same_language_model(with_tower, tmp_path):
    original = write_tiny_llava(tmp_path / "a", "original", with_tower)
    ours = LLMMapDecoder(C, **WORDS, pretrained=str(original)).backbone.state_dict()
    reference = LLMMapDecoder(
        C, **WORDS, pretrained=str(write_tiny_llava(tmp_path / "b"))
    ).backbone.state_dict()
    assert ours.keys() == reference.keys()
    assert torch.equal(ours["embed_tokens.weight"], reference["embed_tokens.weight"])


def test_the_rotary_base_of_an_old_llava_config_is_kept(tmp_path):
    folder = write_tiny_llava(tmp_path, "original")
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "llava_llama", "rope_theta": 5e5})
    )
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    assert decoder.backbone.config.rope_parameters["rope_theta"] == 5e5


def test_neither_logits_nor_hidden_states_nor_a_cache_are_computed(tmp_path, scene):
    folder = write_tiny_decoder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config.update(output_hidden_states=True, output_attentions=True, use_cache=True)
    (folder / "config.json").write_text(json.dumps(config))
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(folder))
    outputs = []
    decoder.backbone.register_forward_hook(lambda _, __, out: outputs.append(out))
    decoder(scene, InstanceMapQueries(D, 4))
    assert {key for key, value in outputs[0].items() if value is not None} == {"last_hidden_state"}
    wide = [
        m
        for m in decoder.modules()
        if isinstance(m, nn.Linear) and m.out_features == decoder.prompt.vocab_size
    ]
    assert wide == []


@pytest.mark.parametrize(
    "queries", [PointMapQueries(D, 3, 4), InstanceMapQueries(D, 5)], ids=["points", "one"]
)
def test_flex_attention_gives_what_sdpa_gives(queries, scene):
    torch.manual_seed(0)
    sdpa = LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE).eval()
    flex = LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE, attention="flex").eval()
    flex.load_state_dict(sdpa.state_dict())
    assert flex.backbone.config._attn_implementation == "flex_attention"
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        a, b = (decoder(scene, queries) for decoder in (sdpa, flex))
    assert (a - b).abs().max() <= 1e-5


def test_flex_attention_is_not_trained_on_a_cpu(scene):
    flex = LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE, attention="flex")
    with pytest.raises(MapLLaVAError, match=r"no backward pass on a CPU.*attention='sdpa'"):
        flex(scene, InstanceMapQueries(D, 5))
    with pytest.raises(ValueError, match="attention 'flash' is not one of sdpa, flex"):
        LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE, attention="flash")
