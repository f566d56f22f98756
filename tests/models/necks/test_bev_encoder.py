"""The BEV encoder: a part that other necks may build on; its weights stay where checkpoints have them."""

import torch
from torch import nn

from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.necks.bev_encoder import BEVEncoder
from mapllava.testing import check_neck
from tests.models.necks.test_bev_qformer_neck import CHANNELS, SPEC, make

SETTINGS = dict(
    bev_dims=12, cell=2.0, heights=[-1.8, -1.0], dilations=[1, 2], loss_bev=dict(bce=1.0, dice=1.0)
)


class CellsNeck(BEVEncoder, MapNeck):
    """A plug-in's neck without a Q-Former: every cell is a scene token."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, SPEC, **SETTINGS)
        self.embed_dims = 16
        self.to_token = nn.Linear(12, 16)

    def forward(self, feats, grid, cameras):
        bev = self.encode_bev(feats, grid, cameras)
        tokens = self.to_token(bev.flatten(2).transpose(1, 2))
        return NeckOutput(tokens, bev, {"segmentation": self.segment(bev)})


def test_another_neck_builds_on_it():
    torch.manual_seed(0)
    neck = CellsNeck()
    nn.init.normal_(neck.place)
    check_neck(neck, CHANNELS)
    assert neck.points.shape == (2 * 16 * 8, 3)


def test_its_weights_have_the_names_that_checkpoints_know():
    own = [name for name in make(dilations=[1, 2]).state_dict() if not name.startswith("qformer.")]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block = [f"blocks.{i}.{part}" for i in (0, 1) for part in ("conv.weight", *(f"norm.{n}" for n in norm))]
    others = [f"{name}.{part}" for name in ("segment", "to_query") for part in ("weight", "bias")]
    assert own == ["place", "query_tokens", "fuse.weight", "fuse.bias", *block, *others]
