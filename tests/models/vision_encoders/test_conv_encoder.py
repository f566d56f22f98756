"""The small encoder: shapes, row-major patches, refusals."""

import pytest
import torch

from mapllava.models.vision_encoders.conv_encoder import ConvVisionEncoder


def make(**kwargs) -> ConvVisionEncoder:
    settings = dict(channels=[4, 8, 8], blocks=[0, 1, 1], embed_dims=6, out_stage=1)
    return ConvVisionEncoder(**{**settings, **kwargs})


@pytest.mark.parametrize("size", [(16, 24), (18, 30)])
def test_patches_match_the_grid_it_promises(size):
    encoder = make()
    rows, cols = encoder.grid_size(size)
    assert encoder(torch.randn(2, 3, 3, *size)).shape == (2, 3, rows * cols, 6)


def test_patches_are_row_major_and_local():
    torch.manual_seed(0)
    encoder = make(channels=[4, 8], blocks=[0, 0]).eval()
    img = torch.randn(1, 1, 3, 32, 64)
    changed = img.clone()
    changed[..., :4, 60:] += 1.0  # the top right corner
    moved = (encoder(img) - encoder(changed)).abs().sum(-1)[0, 0].view(8, 16)
    assert moved[0, 15] > 0
    assert moved[4:].max() == 0
    assert moved[:, :10].max() == 0


def test_bad_stages_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        make(blocks=[1])
    with pytest.raises(ValueError, match="out_stage 3"):
        make(out_stage=3)
