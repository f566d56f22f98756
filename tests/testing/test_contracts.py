"""The contract checks catch what they are for."""

import pytest
import torch
from torch import nn

from mapllava.models.decoders import TransformerMapDecoder
from mapllava.models.map_queries import InstanceMapQueries
from mapllava.models.necks import MapNeck, NeckOutput
from mapllava.testing import check_decoder, check_map_queries, check_neck, check_vision_encoder

C = 6


class BagOfPatches(MapNeck):
    """A neck that forgets where its patches look."""

    def __init__(self):
        super().__init__()
        self.embed_dims = C
        self.project = nn.Linear(C, C)

    def forward(self, feats, grid, cameras):
        return NeckOutput(self.project(feats).mean((1, 2), keepdim=True).flatten(1, 2))


def test_a_neck_without_geometry():
    with pytest.raises(AssertionError, match=r"BagOfPatches: .* where is the geometry"):
        check_neck(BagOfPatches(), C)


def test_a_neck_that_promises_a_bev_map():
    neck = BagOfPatches()
    neck.bev_dims = 4
    with pytest.raises(AssertionError, match="bev must be"):
        check_neck(neck, C)


class _AllSeeing(nn.Module):
    """Queries through which a decoder sees everything."""

    def __init__(self, queries):
        super().__init__()
        self.queries = queries

    def forward(self, batch_size):
        return self.queries(batch_size)

    def attention_mask(self, prefix_len, device):
        return torch.ones_like(self.queries.attention_mask(prefix_len, device))


class LeakyDecoder(TransformerMapDecoder):
    """A decoder that ignores the mask of the queries."""

    def forward(self, scene_tokens, queries, prompts=None):
        return super().forward(scene_tokens, _AllSeeing(queries))


def test_a_decoder_that_ignores_the_mask():
    with pytest.raises(AssertionError, match="queries see what their attention mask hides"):
        check_decoder(LeakyDecoder(C, 8, 1, 2), C)


class BlindDecoder(TransformerMapDecoder):
    """A decoder that never looks at the scene."""

    def forward(self, scene_tokens, queries, prompts=None):
        return super().forward(torch.zeros_like(scene_tokens), queries)


def test_a_decoder_that_does_not_read_the_scene():
    with pytest.raises(AssertionError, match="no gradient reaches the scene tokens"):
        check_decoder(BlindDecoder(C, 8, 1, 2), C)


def test_a_parameter_that_never_learns():
    decoder = TransformerMapDecoder(C, 8, 1, 2)
    decoder.spare = nn.Linear(2, 2)
    with pytest.raises(AssertionError, match=r"without a gradient.*spare\.weight, .*spare\.bias"):
        check_decoder(decoder, C)


class NoisyEncoder(nn.Module):
    """Forgets that evaluation is evaluation."""

    embed_dims = C

    def grid_size(self, img_hw):
        return 2, 3

    def forward(self, img):
        return torch.rand(*img.shape[:2], 6, C)


def test_an_encoder_that_is_not_repeatable():
    with pytest.raises(AssertionError, match="two calls in evaluation mode differ"):
        check_vision_encoder(NoisyEncoder())


class OpenQueries(InstanceMapQueries):
    """The prefix may look ahead."""

    def attention_mask(self, prefix_len, device="cpu"):
        return torch.ones_like(super().attention_mask(prefix_len, device))


def test_queries_with_a_prefix_that_is_not_causal():
    with pytest.raises(AssertionError, match="prefix is not causal"):
        check_map_queries(OpenQueries(8, 3))
