"""Ray encodings: depths, where the points lie, precision."""

import pytest
import torch

from mapllava.models.necks.ray_encoding import RayEncoding, depth_samples
from mapllava.models.surround_rig import surround_cameras

GRID, SIZE = (3, 5), (42, 70)


def test_depths_grow_from_near_towards_far():
    uniform = depth_samples(1.0, 61.0, 6, "uniform")
    assert uniform.tolist() == [1, 11, 21, 31, 41, 51]
    lid = depth_samples(1.0, 61.0, 6, "lid")
    steps = lid.diff()
    assert lid[0] == 1.0
    assert lid[-1] < 61.0
    assert torch.allclose(steps.diff(), steps.diff()[0].expand(4), atol=1e-4)  # linearly growing steps
    assert steps[1] > steps[0]


def test_points_of_the_middle_patch_lie_ahead_of_their_camera():
    """The network sees logits of normalised places: read them back at its input."""
    encoding = RayEncoding(8, num_depths=4, depth_range=(2.0, 42.0), spacing="uniform")
    seen = []
    encoding.mlp.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    encoding(surround_cameras(SIZE, 1, 4), GRID)
    places = torch.sigmoid(seen[0]).view(1, 4, 15, 4, 3) * encoding.extent + encoding.lower
    front, left = places[0, 0, 7], places[0, 1, 7]
    depths = torch.tensor([2.0, 12.0, 22.0, 32.0])
    assert torch.allclose(front[:, 1], depths, atol=1e-2)  # the first camera looks along +y
    assert front[:, [0, 2]].abs().max() < 1e-2
    assert torch.allclose(left[:, 0], -depths, atol=1e-2)  # the second a quarter turn to the left


def test_encodings_differ_between_patches_and_cameras():
    out = RayEncoding(8)(surround_cameras(SIZE, 2, 4), GRID)
    assert out.shape == (2, 4, 15, 8)
    rows = out[0].flatten(0, 1)
    distance = torch.cdist(rows, rows) + torch.eye(len(rows))
    assert distance.min() > 1e-4
    assert torch.equal(out[0], out[1])


def test_full_precision_under_autocast():
    encoding, cameras = RayEncoding(8), surround_cameras(SIZE, 1, 4)
    with torch.no_grad():
        exact = encoding(cameras, GRID)
        with torch.autocast("cpu", torch.bfloat16):
            cast = encoding(cameras, GRID)
    assert cast.dtype == torch.float32
    assert torch.equal(exact, cast)


def test_empty_ranges_and_unknown_spacings_are_refused():
    with pytest.raises(ValueError, match="spacing 'log'"):
        RayEncoding(8, spacing="log")
    with pytest.raises(ValueError, match="no depths"):
        RayEncoding(8, depth_range=(5.0, 5.0))
    with pytest.raises(ValueError, match="position_range"):
        RayEncoding(8, position_range=(0, 0, 0, 1, 1, 0))
