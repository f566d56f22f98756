"""Projection and viewing rays agree with hand-computed values and with each other."""

import pytest
import torch

from mapllava.models.camera import Cameras


def forward_camera(focal: float = 100.0, size: tuple[int, int] = (40, 80)) -> Cameras:
    """A camera at the origin that looks along the map frame's y axis (x right, z up)."""
    height, width = size
    k = torch.eye(4)
    k[0, 0] = k[1, 1] = focal
    k[0, 2], k[1, 2] = (width - 1) / 2, (height - 1) / 2
    lidar2cam = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return Cameras((k @ lidar2cam)[None, None], size)


def test_projects_a_point_where_the_pinhole_model_says():
    pixels, depth = forward_camera().project(torch.tensor([[1.0, 10.0, -2.0]]))
    assert depth.item() == pytest.approx(10.0)
    assert pixels[0, 0, 0].tolist() == pytest.approx([39.5 + 100 * 1 / 10, 19.5 + 100 * 2 / 10])


def test_patch_centres_are_pixel_centres_of_the_patches():
    centres = forward_camera(size=(4, 8)).patch_centres((2, 4))
    assert centres[0].tolist() == [0.5, 0.5]
    assert centres[-1].tolist() == [6.5, 2.5]


def test_rays_lead_back_to_their_patches():
    cameras = forward_camera()
    origin, direction = cameras.patch_rays((5, 10))
    point = (origin + 7.0 * direction)[0, 0]
    pixels, depth = cameras.project(point)
    assert torch.allclose(pixels[0, 0], cameras.patch_centres((5, 10)), atol=1e-3)
    assert torch.allclose(depth, torch.full_like(depth, 7.0), atol=1e-4)
