"""Layouts of weights: what is loaded is what transformers has, what cannot be is refused when built."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import nn

from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import HFBackbone
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.decoders.llm_map_decoder import build_language_model, language_config
from mapllava.models.necks import QFormerCore
from mapllava.models.vision_encoders import Blip2VisionEncoder, CLIPVisionEncoder
from mapllava.testing import write_tiny_llama, write_tiny_llava
from mapllava.testing.tiny_hf import TINY_LLAMA, TINY_QFORMER, TINY_VISION
from tests.models.decoders.words import WORDS


def language_model(folder) -> nn.Module:
    hf = HFBackbone("LLMMapDecoder", str(folder))
    return build_language_model(hf, language_config(hf))


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    """Whether all tensors are equal, those that only one of the two has aside."""
    mine, other = ours.state_dict(), theirs.state_dict()
    return bool(mine) and all(torch.equal(value, other[key].to(value.dtype)) for key, value in mine.items())


def noisy(model: nn.Module) -> nn.Module:
    """Biases and norms too: at zero and one, one that is not loaded would go unnoticed."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


TINY_T5 = {"vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def instructblip(tmp_path_factory) -> tuple[Path, nn.Module]:
    """An InstructBLIP with a LLaMA, as transformers saves it."""
    config = hf.InstructBlipConfig(
        vision_config=hf.InstructBlipVisionConfig(**TINY_VISION).to_dict(),
        qformer_config=hf.InstructBlipQFormerConfig(**TINY_QFORMER).to_dict(),
        text_config=hf.LlamaConfig(**TINY_LLAMA).to_dict(),
        num_query_tokens=32,
    )
    model, folder = (
        noisy(hf.InstructBlipForConditionalGeneration(config)),
        tmp_path_factory.mktemp("instruct"),
    )
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="module")
def flan_t5(tmp_path_factory) -> tuple[Path, nn.Module]:
    """A BLIP-2 whose language model is an encoder-decoder."""
    config = hf.Blip2Config(
        vision_config=hf.Blip2VisionConfig(**TINY_VISION).to_dict(),
        qformer_config=hf.Blip2QFormerConfig(**TINY_QFORMER).to_dict(),
        text_config=hf.T5Config(**TINY_T5).to_dict(),
        num_query_tokens=32,
    )
    model, folder = noisy(hf.Blip2ForConditionalGeneration(config)), tmp_path_factory.mktemp("flan_t5")
    model.save_pretrained(folder)
    return folder, model


@torch.no_grad()
def assert_sees_alike(folder: Path, model: nn.Module) -> QFormerCore:
    """Tower, Q-Former and query tokens give what transformers' own give."""
    inner = getattr(model, "model", model)
    tower, core = Blip2VisionEncoder(pretrained=str(folder)), QFormerCore(32, pretrained=str(folder)).eval()
    img, queries = torch.randn(1, 1, 3, 56, 56), torch.randn(1, 5, 24)
    states = inner.vision_model(pixel_values=img[0]).last_hidden_state
    torch.testing.assert_close(tower(img)[0], states[:, 1:], rtol=1e-4, atol=1e-5)
    others = {"query_embeds": queries, "encoder_hidden_states": states}
    read = inner.qformer(**others, **({"input_ids": None} if "instruct" in model.config.model_type else {}))
    torch.testing.assert_close(core(queries, states), read.last_hidden_state, rtol=1e-4, atol=1e-5)
    tokens = core.initial_queries(32) - inner.query_tokens[0]
    assert tokens.std() < 0.2 * inner.query_tokens.std()
    return core


def test_instructblip(instructblip):
    folder, model = instructblip
    core = assert_sees_alike(folder, model)
    left_out = core.backbone.load_report.left_out
    assert left_out["qformer.embeddings"] == 2  # words and positions of the text; the norm is the queries'
    assert left_out["qformer.encoder.layer.*.intermediate"] == 4
    assert "qformer.embeddings (2)" in str(core.backbone.load_report)
    assert same(language_model(folder), getattr(model, "model", model).language_model.model)


def test_tower_and_qformer_beside_an_encoder_decoder(flan_t5):
    assert_sees_alike(*flan_t5)


def test_an_encoder_decoder_inside_a_blip2_is_refused(flan_t5):
    with pytest.raises(MapLLaVAError, match=r"holds a t5, an encoder-decoder: a decoder-only language model"):
        LLMMapDecoder(10, pretrained=str(flan_t5[0]), **WORDS)


OTHERS = {
    "t5": (TINY_T5, "an encoder-decoder"),
    "mt5": (TINY_T5, "an encoder-decoder"),
    "bart": ({}, "an encoder-decoder"),
    "bert": ({}, "an encoder: a decoder-only"),
    "roberta": ({}, "an encoder: a decoder-only"),
    "mamba": ({}, "which takes no position_ids"),
    "bloom": ({}, "which takes no position_ids"),
    "falcon_h1": ({}, "not all of whose layers obey an attention mask"),
    "clip_text_model": ({}, "which takes no inputs_embeds"),
    "clip_vision_model": ({}, "which takes no inputs_embeds"),
    "blip_2_vision_model": ({}, "which is no language model"),
}


@pytest.mark.parametrize("given", ["folder", "architecture"])
@pytest.mark.parametrize(("kind", "values", "what"), [(k, *v) for k, v in OTHERS.items()], ids=OTHERS)
def test_what_is_no_decoder_is_refused_before_anything_is_read(kind, values, what, given, tmp_path):
    if given == "folder":
        hf.CONFIG_MAPPING[kind](**values).save_pretrained(tmp_path)
        settings = {"pretrained": str(tmp_path)}
    else:
        settings = {"architecture": {"model_type": kind, **values}}
    with pytest.raises(MapLLaVAError, match=rf"holds a {kind}, {what}.*such as Vicuna"):
        LLMMapDecoder(10, **WORDS, **settings)


def in_another_layout(folder: Path, out: Path, rename, dtype=None, suffix="safetensors", **config) -> Path:
    """A model's folder with its tensors under other names, or None for those to leave out."""
    out.mkdir()
    names = {key: rename(key) for key in load_file(folder / "model.safetensors")}
    tensors = load_file(folder / "model.safetensors")
    state = {new: tensors[key].to(dtype) if dtype else tensors[key] for key, new in names.items() if new}
    if suffix == "bin":
        torch.save(state, out / "pytorch_model.bin")
    else:
        save_file(state, str(out / "model.safetensors"), metadata={"format": "pt", "more": "of it"})
    values = json.loads((folder / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**values, **config}))
    return out


ORIGINAL = {"mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": 1024}
LLAMAS = {
    "as it is": {"rename": lambda key: key},
    "fp16": {"rename": lambda key: key, "dtype": torch.float16},
    "bf16 in bin": {"rename": lambda key: key, "dtype": torch.bfloat16, "suffix": "bin"},
    "tied": {"rename": lambda key: None if "lm_head" in key else key, "tie_word_embeddings": True},
    "backbone": {"rename": lambda key: None if "lm_head" in key else key.removeprefix("model.")},
    "LLaVA's own": {"rename": lambda key: key, "model_type": "llava", **ORIGINAL},
    "LLaVA's own, newer": {"rename": lambda key: key, "model_type": "llava_llama", **ORIGINAL},
    "llava-hf, old": {"rename": lambda key: f"language_model.{key}"},
    "llava-hf, new": {"rename": lambda key: key.replace("model.", "model.language_model.")},
}


@pytest.mark.parametrize("layout", LLAMAS.values(), ids=LLAMAS)
def test_a_llama_in_every_layout_is_the_same(layout, tmp_path):
    folder = write_tiny_llama(tmp_path / "llama")
    reference = hf.LlamaForCausalLM.from_pretrained(folder).to(layout.get("dtype", torch.float32))
    assert same(language_model(in_another_layout(folder, tmp_path / "other", **layout)), reference.model)


def test_buffers_that_older_versions_saved_are_counted(tmp_path):
    config = hf.GPT2Config(vocab_size=320, n_embd=32, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    model = noisy(hf.GPT2LMHeadModel(config))
    config.save_pretrained(tmp_path)
    old = {"h.0.attn.bias": torch.ones(4), "h.0.attn.masked_bias": torch.ones(1)}  # no 'transformer.' before
    save_file({**model.transformer.state_dict(), **old}, str(tmp_path / "model.safetensors"))
    (tmp_path / "tokenizer.json").write_bytes(
        (write_tiny_llama(tmp_path / "l") / "tokenizer.json").read_bytes()
    )
    backbone = language_model(tmp_path)
    assert same(backbone, model.transformer)
    assert backbone.load_report.left_out == {"buffers of older versions": 1, "h.*.attn.masked_bias": 1}


def test_a_llava_whose_clip_is_out_of_reach_names_the_folder(tmp_path, monkeypatch):
    folder = write_tiny_llava(tmp_path, "original", with_tower=True)
    (folder / "clip" / "config.json").unlink()
    with pytest.raises(
        MapLLaVAError, match=r"original layout, whose vision encoder is the CLIP 'clip': name that"
    ):
        CLIPVisionEncoder(pretrained=str(folder))


@pytest.mark.parametrize("make", [Blip2VisionEncoder, CLIPVisionEncoder, partial(QFormerCore, 32)])
def test_another_model_is_named(make, tmp_path):
    with pytest.raises(MapLLaVAError, match=r"llama' holds a llama, expected a (blip_2|clip)_"):
        make(pretrained=str(write_tiny_llama(tmp_path / "llama")))


@pytest.mark.parametrize("wrong", [{"hidden_act": "swish9"}, {"rope_parameters": {"rope_type": "spiral"}}])
def test_a_config_that_transformers_builds_nothing_of_is_named(wrong, tmp_path):
    folder = write_tiny_llama(tmp_path / "llama")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(MapLLaVAError, match=r"builds no model of the config\.json of '.*llama' \(KeyError"):
        language_model(folder)


def one_nan(tensors):
    tensors[UP][0, 0] = torch.nan


def whole_numbers(tensors):
    tensors[UP] = (1000 * tensors[UP]).to(torch.int8)


UP = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("change", [one_nan, whole_numbers])
def test_from_pretrained_would_take_what_we_refuse(change, tmp_path):
    """Why we load ourselves; where this fails, ask whether transformers' own loading does by now."""
    folder = write_tiny_llama(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    _, info = hf.LlamaModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] | info["mismatched_keys"]
    with pytest.raises(MapLLaVAError, match=rf"1 of another shape, type or content: {UP}"):
        language_model(folder)


def test_from_pretrained_would_leave_the_model_on_its_files_and_know_no_meta_device(tmp_path):
    """As above: a download over the files would change a run that reads them."""
    folder = write_tiny_llama(tmp_path)
    path = folder / "model.safetensors"
    theirs, ours = hf.LlamaModel.from_pretrained(folder), language_model(folder)
    before = load_file(path)[UP].clone()
    with path.open("r+b") as stream:
        stream.seek(-path.stat().st_size // 2, 2)
        stream.write(bytes(path.stat().st_size // 2))
    changed = [
        not torch.equal(value, before)
        for value in (each.layers[0].mlp.up_proj.weight for each in (theirs, ours))
    ]
    assert changed == [True, False]
    with torch.device("meta"), pytest.raises(RuntimeError, match="meta"):
        hf.LlamaModel.from_pretrained(folder)
