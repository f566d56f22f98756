"""The Q-Former: parity with transformers, masks, loading, where queries start."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from mapllava.models.necks import QFormerCore
from mapllava.testing import write_tiny_blip2
from mapllava.testing.tiny_hf import TINY_QFORMER

C, D = 32, 24


@pytest.fixture(scope="module")
def blip2(tmp_path_factory):
    return write_tiny_blip2(tmp_path_factory.mktemp("blip2"), num_query_tokens=8)


@pytest.fixture(scope="module")
def tensors(blip2):
    found = {}
    for shard in sorted(blip2.glob("*.safetensors")):
        found.update(load_file(shard))
    return found


@pytest.fixture(scope="module")
def reference(tensors):
    model = Blip2QFormerModel(Blip2QFormerConfig(**TINY_QFORMER))
    model.load_state_dict(
        {k.removeprefix("qformer."): t for k, t in tensors.items() if k.startswith("qformer.")}
    )
    model.set_attn_implementation("eager")
    return model.eval()


@pytest.mark.parametrize("kind", ["none", "per sample", "per query"])
def test_parity_with_transformers(blip2, reference, kind):
    torch.manual_seed(0)
    core = QFormerCore(C, pretrained=str(blip2)).eval()
    queries, states = torch.randn(2, 5, D), torch.randn(2, 9, C)
    mask, additive = None, None
    if kind != "none":
        mask = torch.rand(2, 5, 9) > 0.5
        mask[..., 0] = True
        mask = mask if kind == "per query" else mask[:, 0]
        full = mask if kind == "per query" else mask[:, None].expand(-1, 5, -1)
        additive = torch.zeros(full.shape).masked_fill(~full, float("-inf"))[:, None]
    with torch.no_grad():
        ours = core(queries, states, mask)
        theirs = reference(
            query_embeds=queries, encoder_hidden_states=states, encoder_attention_mask=additive
        )
    assert (ours - theirs.last_hidden_state).abs().max() <= 1e-5


def test_what_the_mask_hides_changes_nothing():
    torch.manual_seed(0)
    # one layer, since queries that may read pass what they read on to the others
    core = QFormerCore(C, architecture={**architecture(), "num_hidden_layers": 1}).eval()
    queries, states = torch.randn(1, 4, D), torch.randn(1, 6, C)
    mask = torch.ones(1, 4, 6, dtype=torch.bool)
    mask[:, 1, 3] = False
    other = states.clone()
    other[:, 3] += 1.0
    with torch.no_grad():
        moved = (core(queries, states, mask) != core(queries, other, mask)).any(-1)[0]
    assert moved.tolist() == [True, False, True, True]


def architecture() -> dict:
    return {key: value for key, value in TINY_QFORMER.items() if key != "encoder_hidden_size"}


def test_every_parameter_gets_a_gradient():
    core = QFormerCore(C, architecture=architecture(), gradient_checkpointing=True).train()
    core(torch.randn(2, 5, D), torch.randn(2, 9, C)).square().sum().backward()
    assert [name for name, p in core.named_parameters() if p.grad is None] == []


def test_queries_start_from_those_of_blip2(blip2, tensors):
    core = QFormerCore(C, pretrained=str(blip2))
    tokens = tensors["query_tokens"][0]
    initial = core.initial_queries(20)
    assert initial.shape == (20, D)
    for start in (0, 8):
        assert torch.nn.functional.cosine_similarity(initial[start : start + 8], tokens).min() > 0.95
    assert not torch.equal(initial[:8], initial[8:16])
    random = QFormerCore(C, architecture=architecture()).initial_queries(20)
    assert 0.01 < float(random.std()) < 0.03


def test_narrow_random_weights_let_the_patches_through():
    narrow = {**architecture(), "hidden_size": 16, "num_attention_heads": 2}
    torch.manual_seed(0)
    core = QFormerCore(C, architecture=narrow).eval()
    queries = torch.randn(1, 4, 16) * 0.02
    with torch.no_grad():
        difference = core(queries, torch.randn(1, 9, C)) - core(queries, torch.randn(1, 9, C))
    assert difference.abs().max() > 0.05


def test_the_log_says_how_many_tensors_came_from_where(blip2, monkeypatch, tensors):
    lines = []
    monkeypatch.setattr("mapllava.checkpoint.loading.print_log", lambda text, **_: lines.append(text))
    core = QFormerCore(C, pretrained=str(blip2))
    count = sum(key.startswith("qformer.") for key in tensors)
    assert lines[0].startswith(f"Q-Former weights loaded: {count} tensors from {blip2}")
    assert core.base_weights["id"] == str(blip2)


def test_features_of_another_width_are_refused(blip2):
    with pytest.raises(ValueError, match="32 channels, the vision encoder gives 64"):
        QFormerCore(64, pretrained=str(blip2))
