"""Prompts of a batch: padding changes nothing, ids are made once."""

import copy

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.models.tokenizers import ByteTokenizer
from mapllava.testing.tiny_hf import TINY_LLAMA

D, S, C = 32, 6, 10
TEXTS = ["Draw.", "Draw the map around the car, please.", None]
LLAMA = {**TINY_LLAMA, "model_type": "llama"}
GPT2 = {"model_type": "gpt2", "vocab_size": 320, "n_embd": D, "n_layer": 2, "n_head": 4, "bos_token_id": 1}
OPT = {
    "model_type": "opt",
    "vocab_size": 320,
    "hidden_size": D,
    "word_embed_proj_dim": D,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 1,
}


def make(architecture=LLAMA, **options) -> LLMMapDecoder:
    torch.manual_seed(0)
    return LLMMapDecoder(C, prompt="Draw the map.", architecture=architecture, **options).eval()


@pytest.fixture
def scene():
    return torch.randn(3, S, C, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "queries", [PointMapQueries(D, 3, 4), InstanceMapQueries(D, 5)], ids=["points", "one"]
)
@pytest.mark.parametrize("architecture", [LLAMA, GPT2, OPT], ids=lambda each: each["model_type"])
@pytest.mark.parametrize("attention", ["sdpa", "flex"])
def test_a_sample_does_not_depend_on_anothers_longer_prompt(attention, architecture, queries, scene):
    if attention == "flex" and architecture is not LLAMA:
        pytest.skip("one family shows the block mask")
    decoder = make(architecture, attention=attention)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        together = decoder(scene, queries, TEXTS)
        for index, text in enumerate(TEXTS):
            alone = decoder(scene[index : index + 1], queries, [text])[0]
            assert (together[index] - alone).abs().max() < 1e-5, text
            assert (together[index] - together[index - 1]).abs().max() > 1e-3
        assert torch.equal(decoder(scene, queries), decoder(scene, queries, [None] * 3))


def test_gradients_do_not_depend_on_it_either(scene):
    decoder, queries = make(frozen=False), InstanceMapQueries(D, 5)

    def gradients(*calls):
        decoder.zero_grad()
        for call in calls:
            decoder(*call).square().sum().backward()
        return [parameter.grad.clone() for parameter in decoder.parameters()]

    apart = gradients(*((scene[i : i + 1], queries, TEXTS[i : i + 1]) for i in range(3)))
    for one, other in zip(gradients((scene, queries, TEXTS)), apart, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_text_is_tokenised_once(monkeypatch):
    calls = []
    original = ByteTokenizer.__call__
    monkeypatch.setattr(
        ByteTokenizer, "__call__", lambda self, text: calls.append(text) or original(self, text)
    )
    prompt = LLMMapDecoder.open_prompt(prompt="Draw the map.", architecture=LLAMA)
    for _ in range(3):
        ids, padding = prompt.batch(["map", None], 2, "cpu")
    assert calls == ["Draw the map.", "map"]
    assert ids[0].tolist() == [1] * 11 + [byte + 3 for byte in b"map"]
    assert padding.tolist() == [10, 0]
    assert prompt.batch(None, 2, "cpu")[1] is None
    with pytest.raises(ValueError, match="1 prompts for 2 samples"):
        prompt.batch(["map"], 2, "cpu")
    monkeypatch.setattr(ByteTokenizer, "__call__", lambda self, text: [1, 5])
    with pytest.raises(MapLLaVAError, match="BOS in the prompt"):
        prompt.batch(["<s>map"], 1, "cpu")


def test_an_averaged_copy_shares_the_vocabulary():
    decoder = make()
    assert copy.deepcopy(decoder).prompt is decoder.prompt
