"""Both decoders, both layouts: what must not be seen changes nothing, bit for bit."""

import pytest
import torch
from torch import nn

from mapllava.models.decoders import LLMMapDecoder, TransformerMapDecoder
from mapllava.models.map_queries import InstanceMapQueries, PointMapQueries
from mapllava.testing.tiny_hf import TINY_LLAMA
from tests.models.decoders.words import IDS, WORDS

D, S, C = 32, 6, 10


def make_decoder(kind: str, num_layers: int = 1, **options) -> nn.Module:
    torch.manual_seed(0)
    if kind == "llm":
        architecture = {**TINY_LLAMA, "model_type": "llama", "num_hidden_layers": num_layers}
        return LLMMapDecoder(C, **WORDS, architecture=architecture, **options).eval()
    return TransformerMapDecoder(C, D, num_layers, 4).eval()


def make_queries(layout: str) -> nn.Module:
    torch.manual_seed(1)
    return PointMapQueries(D, 3, 4) if layout == "points" else InstanceMapQueries(D, 5)


class Pushed(nn.Module):
    """Map queries with one token changed."""

    def __init__(self, queries, token):
        super().__init__()
        self.queries, self.token = queries, token

    def forward(self, batch_size):
        tokens = self.queries(batch_size).clone()
        tokens[:, self.token] += torch.linspace(-0.05, 0.05, D)
        return tokens

    def attention_mask(self, prefix_len, device):
        return self.queries.attention_mask(prefix_len, device)


@pytest.mark.parametrize("layout", ["points", "instances"])
@pytest.mark.parametrize("kind", ["llm", "plain"])
def test_one_layer_moves_exactly_what_may_see_the_token(kind, layout):
    decoder, queries = make_decoder(kind), make_queries(layout)
    scene = torch.randn(1, S, C)
    mask = queries.attention_mask(0)
    with torch.no_grad():
        before = decoder(scene, queries)
        for token in range(queries.num_tokens):
            after = decoder(scene, Pushed(queries, token))
            moved = (before != after).any(-1)[0]
            assert torch.equal(moved, mask[:, token]), f"token {token}"


@pytest.mark.parametrize("layout", ["points", "instances"])
def test_the_prefix_of_the_language_model_never_sees_the_queries(layout):
    decoder, queries = make_decoder("llm", num_layers=3), make_queries(layout)
    scene = torch.randn(1, S, C)
    seen = []
    decoder.backbone.register_forward_hook(lambda _, __, out: seen.append(out.last_hidden_state))
    with torch.no_grad():
        decoder(scene, queries)
        decoder(scene, Pushed(queries, 2))
        other = scene.clone()
        other[:, -1] += torch.randn(C)
        decoder(other, queries)
    prefix = len(IDS) + S
    assert torch.equal(seen[0][:, :prefix], seen[1][:, :prefix])
    assert torch.equal(seen[0][:, : prefix - 1], seen[2][:, : prefix - 1])  # causal
    assert (seen[0][:, prefix - 1 :] != seen[2][:, prefix - 1 :]).any(-1).all()  # every query sees it


@pytest.mark.parametrize("kind", ["llm", "plain"])
def test_samples_of_a_batch_do_not_mix(kind):
    decoder, queries = make_decoder(kind, 2), make_queries("points")
    scene = torch.randn(2, S, C)
    other = scene.clone()
    other[1] += 1.0
    with torch.no_grad():
        before, after = (decoder(x, queries) for x in (scene, other))
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


class FromLeaf(nn.Module):
    """Map queries whose tokens are a given leaf."""

    def __init__(self, queries, tokens):
        super().__init__()
        self.queries, self.tokens = queries, tokens

    def forward(self, batch_size):
        return self.tokens.expand(batch_size, -1, -1)

    def attention_mask(self, prefix_len, device):
        return self.queries.attention_mask(prefix_len, device)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("layout", ["points", "instances"])
def test_training_moves_and_reaches_exactly_what_may_be_seen(layout, layers, frozen, checkpointing):
    """Forward bits and gradients, with and without recomputation.

    Through several layers a token reaches what those that see it are seen by: the mask's power.
    """
    options = {"frozen": frozen, "gradient_checkpointing": checkpointing}
    decoder, queries = make_decoder("llm", layers, **options).train(), make_queries(layout)
    prefix = len(IDS) + S
    mask = queries.attention_mask(prefix)
    seen = torch.linalg.matrix_power(mask.float(), layers) > 0
    scene = torch.randn(1, S, C)
    hidden, recomputed = [], []
    decoder.backbone.register_forward_hook(lambda _, __, out: hidden.append(out.last_hidden_state))
    decoder.backbone.layers[0].self_attn.register_forward_hook(lambda *_: recomputed.append(1))

    decoder(scene, queries)
    for token in range(queries.num_tokens):
        decoder(scene, Pushed(queries, token))
        moved = (hidden[0] != hidden[-1]).any(-1)[0]
        assert torch.equal(moved, seen[:, prefix + token]), f"token {token}"

    leaf = queries(1)[0].detach().requires_grad_()
    decoder(scene, FromLeaf(queries, leaf))
    before = len(recomputed)
    for row in range(len(mask)):
        (gradient,) = torch.autograd.grad(hidden[-1][0, row].sum(), leaf, retain_graph=True)
        assert torch.equal((gradient != 0).any(-1), seen[row, prefix:]), f"row {row}"
    assert (len(recomputed) > before) is checkpointing
