"""The Q-Former neck: geometry reaches the scene tokens (cameras and patches are not a bag)."""

import pytest
import torch

from mapllava.errors import MapLLaVAError
from mapllava.models.camera import Cameras
from mapllava.models.necks import QFormerNeck
from mapllava.models.surround_rig import surround_cameras
from mapllava.testing import check_neck, write_tiny_blip2
from mapllava.testing.tiny_hf import TINY_QFORMER

C, GRID, SIZE = 32, (3, 5), (42, 70)
QFORMER = {
    "type": "QFormerCore",
    "architecture": {key: value for key, value in TINY_QFORMER.items() if key != "encoder_hidden_size"},
}


def make(**changes) -> QFormerNeck:
    torch.manual_seed(0)
    return QFormerNeck(
        **{"in_channels": C, "qformer": QFORMER, "num_cameras": 4, "num_queries": 3, **changes}
    )


@pytest.fixture
def feats():
    torch.manual_seed(1)
    return torch.randn(2, 4, GRID[0] * GRID[1], C)


def test_contract():
    check_neck(make(num_cameras=6), C)


def test_contract_with_blip2s_weights(tmp_path):
    folder = write_tiny_blip2(tmp_path)
    check_neck(make(num_cameras=6, qformer={"type": "QFormerCore", "pretrained": str(folder)}), C)


def run(neck, feats, cameras):
    with torch.no_grad():
        return neck.eval()(feats, GRID, cameras).scene_tokens


def test_shape_is_cameras_times_queries(feats):
    assert run(make(), feats, surround_cameras(SIZE, 2, 4)).shape == (2, 12, 24)


def test_two_patches_swapped_change_that_cameras_tokens_only(feats):
    neck, cameras = make(), surround_cameras(SIZE, 2, 4)
    swapped = feats.clone()
    swapped[:, 1, [2, 9]] = feats[:, 1, [9, 2]]
    difference = (run(neck, swapped, cameras) - run(neck, feats, cameras)).abs().amax((0, 2)).view(4, 3)
    assert (difference[1] > 1e-4).all()
    assert (difference[[0, 2, 3]] < 1e-6).all()


def test_one_wrong_extrinsic_changes_that_cameras_tokens_only(feats):
    neck, cameras = make(), surround_cameras(SIZE, 2, 4)
    turned = cameras.lidar2img.clone()
    turned[:, 2] = surround_cameras(SIZE, 2, 4, yaw=0.2).lidar2img[:, 2]
    difference = run(neck, feats, Cameras(turned, SIZE)) - run(neck, feats, cameras)
    per_camera = difference.abs().amax((0, 2)).view(4, 3)
    assert (per_camera[2] > 1e-4).all()
    assert (per_camera[[0, 1, 3]] < 1e-6).all()


def test_shuffled_cameras_are_not_the_same_scene(feats):
    neck, cameras = make(), surround_cameras(SIZE, 2, 4)
    order = [1, 2, 3, 0]
    right = run(neck, feats, cameras)
    shuffled = run(neck, feats[:, order], cameras)
    assert (shuffled.view(2, 4, 3, -1) - right.view(2, 4, 3, -1)[:, order]).abs().max() > 1e-3


def test_number_of_cameras_is_checked(feats):
    with pytest.raises(MapLLaVAError, match="4 cameras given, but the queries are for 6"):
        run(make(num_cameras=6), feats, surround_cameras(SIZE, 2, 4))
