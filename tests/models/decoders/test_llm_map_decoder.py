"""The language model as map decoder: parity with transformers, freezing, loading, prompts."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.testing import check_decoder, write_tiny_blip2, write_tiny_llama
from mapllava.testing.tiny_hf import TINY_LLAMA
from tests.models.decoders.causal import CausalQueries
from tests.models.decoders.words import IDS, WORDS

ARCHITECTURE = {**TINY_LLAMA, "model_type": "llama"}
PLAIN = {**WORDS, "architecture": ARCHITECTURE}
D, S, C = 32, 6, 10
PROMPT = torch.tensor([IDS])


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def scene():
    torch.manual_seed(2)
    return torch.randn(2, S, C)


def reference(folder) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(folder))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def embeddings(decoder, model, scene, queries):
    batch = len(scene)
    prompt = model.get_input_embeddings()(PROMPT.expand(batch, -1))
    places = getattr(queries, "scene_places", None)
    tokens = decoder.project(scene) + (0 if places is None else places)
    return torch.cat([prompt, tokens * decoder.scale, queries(batch) * decoder.query_scale], dim=1)


def test_parity_with_transformers_under_a_causal_mask(llama, scene):
    decoder, queries = LLMMapDecoder(C, **WORDS, pretrained=str(llama)), CausalQueries(9, D)
    model = reference(llama)
    with torch.no_grad():
        ours = decoder(scene, queries)
        theirs = model.model(inputs_embeds=embeddings(decoder, model, scene, queries)).last_hidden_state
    assert (ours - theirs[:, -9:]).abs().max() <= 1e-5


def test_places_and_the_embeddings_scale_reach_scene_tokens_and_queries(llama, scene):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(llama), scale="embeddings")
    queries, model = CausalQueries(9, D), reference(llama)
    queries.scene_places = torch.randn(S, D)
    with torch.no_grad():
        ours = decoder(scene, queries)
        theirs = model.model(inputs_embeds=embeddings(decoder, model, scene, queries)).last_hidden_state
    assert (ours - theirs[:, -9:]).abs().max() <= 1e-5


def test_parity_with_eager_attention_under_the_map_mask(llama, scene):
    """Eager attention adds the mask, so it gets an additive one; ours is bool through SDPA."""
    decoder, queries = LLMMapDecoder(C, **WORDS, pretrained=str(llama)), PointMapQueries(D, 3, 4)
    model = reference(llama)
    model.model.set_attn_implementation("eager")
    mask = queries.attention_mask(len(IDS) + S)
    additive = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
    with torch.no_grad():
        ours = decoder(scene, queries)
        inputs = embeddings(decoder, model, scene, queries)
        theirs = model.model(inputs_embeds=inputs, attention_mask=additive[None, None]).last_hidden_state
    assert (ours - theirs[:, -queries.num_tokens :]).abs().max() <= 1e-5


@pytest.mark.parametrize("frozen", [True, False])
def test_contract(frozen):
    check_decoder(LLMMapDecoder(C, prompt="Draw the map.", architecture=ARCHITECTURE, frozen=frozen), C)


def test_frozen_language_model_gets_no_gradient_but_passes_it_on(scene):
    decoder, queries = LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE), InstanceMapQueries(D, 5)
    decoder.train()
    scene.requires_grad_()
    decoder(scene, queries).square().mean().backward()
    assert all(not p.requires_grad and p.grad is None for p in decoder.backbone.parameters())
    assert scene.grad.abs().sum() > 0
    assert queries.instances.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in decoder.project.parameters())
    assert decoder.training
    assert not any(module.training for module in decoder.backbone.modules())


def test_trained_language_model_trains():
    decoder = LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE, frozen=False).train()
    assert all(p.requires_grad for p in decoder.parameters())
    assert decoder.backbone.training


@pytest.mark.parametrize("frozen", [True, False])
def test_checkpointing_recomputes_and_gives_the_same_gradients(frozen, scene):
    def gradients(checkpointing):
        torch.manual_seed(0)
        decoder = LLMMapDecoder(
            C, **WORDS, architecture=ARCHITECTURE, frozen=frozen, gradient_checkpointing=checkpointing
        ).train()
        calls = []
        decoder.backbone.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
        leaf = scene.clone().requires_grad_()
        decoder(leaf, InstanceMapQueries(D, 5)).square().sum().backward()
        return leaf.grad, len(calls)

    plain, once = gradients(False)
    saved, twice = gradients(True)
    assert (once, twice) == (1, 2)
    assert torch.allclose(plain, saved, atol=1e-6)


def test_frozen_checkpointed_language_model_has_no_dropout():
    """OPT drops in the layer itself, which checkpointing needs in training mode."""
    opt = {"model_type": "opt", "vocab_size": 64, "hidden_size": D, "word_embed_proj_dim": D, "ffn_dim": 64}
    architecture = {
        **opt,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "dropout": 0.5,
        "bos_token_id": 1,
    }
    decoder = LLMMapDecoder(C, **WORDS, architecture=architecture, gradient_checkpointing=True).train()
    queries, scene = InstanceMapQueries(D, 5), torch.randn(1, S, C)
    assert torch.equal(decoder(scene, queries), decoder(scene, queries))


def test_no_vocabulary_head_is_built_or_loaded(llama):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(llama))
    assert "lm_head" not in "".join(decoder.state_dict())
    assert decoder.embed_dims == D
    assert decoder.base_weights["id"] == str(llama)


def test_scene_tokens_arrive_at_the_scale_of_token_embeddings(llama, scene):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(llama))
    spread = (decoder.project(scene * 50 + 3) * decoder.scale).std()
    words = decoder.backbone.get_input_embeddings().weight.std()
    assert 0.3 < float((spread / words).detach()) < 1.5


def test_at_the_embeddings_scale_scene_and_queries_have_their_rms(llama, scene):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(llama), scale="embeddings")
    words = reference(llama).get_input_embeddings().weight.square().mean().sqrt()
    assert decoder.scale == decoder.query_scale == pytest.approx(float(words.detach()), rel=1e-5)


def test_trained_whole_it_has_the_scale_of_its_file_and_not_of_the_folder(llama, tmp_path, scene):
    settings = {**WORDS, "scale": "embeddings"}
    trained = LLMMapDecoder(C, **settings, pretrained=str(llama), frozen=False)
    shutil.copytree(llama, tmp_path / "other")
    state = load_file(llama / "model.safetensors")
    state["model.embed_tokens.weight"] *= 3
    save_file(state, tmp_path / "other" / "model.safetensors", {"format": "pt"})
    other = LLMMapDecoder(C, **settings, pretrained=str(tmp_path / "other"), frozen=False)
    other.load_state_dict(trained.state_dict())
    queries = InstanceMapQueries(D, 3)
    assert torch.equal(other(scene, queries), trained(scene, queries))
    assert (
        "scale" not in LLMMapDecoder(C, **settings, pretrained=str(llama)).state_dict()
    )  # its base is compared


def test_from_scratch_the_embeddings_have_scale_1_and_layers_do_something(scene):
    torch.manual_seed(0)
    decoder = LLMMapDecoder(C, **PLAIN, scale="embeddings")
    assert decoder.scale == decoder.query_scale == 1.0
    assert float(decoder.backbone.get_input_embeddings().weight.std()) == pytest.approx(1, abs=0.05)
    weights = [p for n, p in decoder.backbone.named_parameters() if n.endswith("proj.weight")]
    for weight in weights:
        assert float(weight.std()) == pytest.approx(D**-0.5, rel=0.15)


def test_from_scratch_a_given_initializer_range_holds():
    architecture = {**PLAIN["architecture"], "initializer_range": 0.5}
    decoder = LLMMapDecoder(C, **{**PLAIN, "architecture": architecture}, scale="embeddings")
    assert float(decoder.backbone.layers[0].mlp.up_proj.weight.std()) == pytest.approx(0.5, rel=0.1)


def test_a_scale_that_is_none_is_refused(llama):
    with pytest.raises(ValueError, match="scale 'big' is not one of embeddings, initializer_range"):
        LLMMapDecoder(C, **WORDS, pretrained=str(llama), scale="big")


@pytest.mark.usefixtures("with_bfloat16")
def test_low_precision_backbone_takes_and_gives_full_precision(llama, scene):
    queries = InstanceMapQueries(D, 5)
    torch.manual_seed(0)
    exact = LLMMapDecoder(C, **WORDS, pretrained=str(llama))
    torch.manual_seed(0)
    half = LLMMapDecoder(C, **WORDS, pretrained=str(llama), dtype="bfloat16")
    assert {p.dtype for p in half.backbone.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        a, b = (decoder(scene, queries) for decoder in (exact, half))
    assert b.dtype == torch.float32
    assert 0 < (a - b).abs().max() < 0.1 * a.abs().max()


def test_language_model_of_a_blip2_folder(tmp_path, scene):
    ids = {"type": "RecordedTokenizer", "ids": {"map": [2, 9]}, "identity": {"bos_token_id": 2}}
    decoder = LLMMapDecoder(C, "map", ids, pretrained=str(write_tiny_blip2(tmp_path)))
    assert decoder.backbone.config.model_type == "opt"
    assert decoder(scene, InstanceMapQueries(decoder.embed_dims, 4)).shape == (2, 4, 16)


def test_init_weights_of_mmengine_leaves_loaded_weights_alone(llama):
    decoder = LLMMapDecoder(C, **WORDS, pretrained=str(llama), frozen=False)
    before = {key: value.clone() for key, value in decoder.backbone.state_dict().items()}
    decoder.init_weights()
    assert all(torch.equal(before[key], value) for key, value in decoder.backbone.state_dict().items())


def test_llava_in_its_original_layout(llama, tmp_path, scene):
    """A LLaMA's config under another model type, the vision side's keys among the weights."""
    config = json.loads((llama / "config.json").read_text())
    config.update(model_type="llava", mm_hidden_size=1024, mm_vision_tower="openai/clip")
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = load_file(llama / "model.safetensors")
    save_file({**tensors, "model.mm_projector.0.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    ours = LLMMapDecoder(C, **WORDS, pretrained=str(tmp_path))
    queries, theirs = InstanceMapQueries(D, 4), LLMMapDecoder(C, **WORDS, pretrained=str(llama))
    theirs.project.load_state_dict(ours.project.state_dict())
    assert torch.equal(ours(scene, queries), theirs(scene, queries))


def test_builds_on_the_meta_device_at_full_size():
    architecture = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 2}
    with torch.device("meta"):
        decoder = LLMMapDecoder(768, **WORDS, architecture=architecture)
    assert decoder.embed_dims == 4096
    assert {p.device.type for p in decoder.parameters()} == {"meta"}


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="needs 'pretrained'"):
        LLMMapDecoder(C, **WORDS)
    with pytest.raises(ValueError, match="hiden_size"):
        LLMMapDecoder(C, **WORDS, architecture={"model_type": "llama", "hiden_size": 8})
    with pytest.raises(ValueError, match="unknown to transformers"):
        LLMMapDecoder(C, **WORDS, architecture={"model_type": "lama"})
    with pytest.raises(ValueError, match="dtype 'bf16'"):
        LLMMapDecoder(C, **WORDS, architecture=ARCHITECTURE, dtype="bf16")
    with pytest.raises(MapLLaVAError, match=r"model\.decoder\.prompt is None: a language model needs a text"):
        LLMMapDecoder(C, architecture=ARCHITECTURE)


def test_more_tokens_than_positions_are_said(llama, scene, tmp_path, monkeypatch):
    queries = InstanceMapQueries(D, 50)
    values = {"vocab_size": 300, "hidden_size": D, "num_hidden_layers": 1, "num_attention_heads": 4}
    learned = {**values, "model_type": "opt", "ffn_dim": 32, "word_embed_proj_dim": D, "bos_token_id": 1}
    decoder = LLMMapDecoder(C, **WORDS, architecture={**learned, "max_position_embeddings": 40})
    with pytest.raises(
        MapLLaVAError, match=r"has 40 positions, and gets \d+ tokens \(.* 6 of the scene, 50 map"
    ):
        decoder(scene, queries)

    shutil.copytree(llama, tmp_path / "short")
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    (tmp_path / "short" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))
    said = []
    monkeypatch.setattr(
        "mapllava.models.decoders.llm_map_decoder.print_log", lambda text, **_: said.append(text)
    )
    for pretrained in (llama, tmp_path / "short"):
        decoder = LLMMapDecoder(C, prompt=WORDS["prompt"], pretrained=str(pretrained))
        decoder(scene, queries)
        decoder(scene, queries)
    assert len(said) == 1
    assert "has 40 positions" in said[0]
