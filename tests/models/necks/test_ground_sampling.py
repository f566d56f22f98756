"""Reading patches at projections: parity with grid_sample, blindness outside the images."""

import torch
from torch.nn import functional as F

from mapllava.models.camera import Cameras
from mapllava.models.look_up import gather_rows
from mapllava.models.necks.ground_sampling import bilinear_footprint


def two_cameras(size=(40, 80)) -> Cameras:
    """One camera looking along +y, one along -y, both at the origin."""
    height, width = size
    k = torch.eye(4)
    k[0, 0] = k[1, 1] = 30.0
    k[0, 2], k[1, 2] = (width - 1) / 2, (height - 1) / 2
    front = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    back = torch.tensor([[-1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    return Cameras(torch.stack([k @ front, k @ back])[None], size)


def gather_patches(feats, indices, weights):
    return gather_rows(feats.flatten(1, 2), indices, weights)


def test_equals_grid_sample_inside_the_image():
    torch.manual_seed(0)
    cameras, grid = two_cameras(), (10, 20)
    points = torch.stack([torch.rand(50) * 8 - 4, torch.rand(50) * 6 + 6, -torch.rand(50) * 2], -1)
    feats = torch.randn(1, 2, 200, 5)
    read = gather_patches(feats, *bilinear_footprint(points, cameras, grid))
    pixels, _ = cameras.project(points)
    where = (pixels[:, 0] + 0.5) / torch.tensor([80.0, 40.0]) * 2 - 1
    image = feats[:, 0].transpose(1, 2).reshape(1, 5, 10, 20)
    expected = F.grid_sample(image, where[:, None], align_corners=False, padding_mode="border")
    assert torch.allclose(read[0], expected[0, :, 0].T, atol=1e-5)


def test_a_point_behind_one_camera_reads_the_other():
    cameras, grid = two_cameras(), (10, 20)
    feats = torch.zeros(1, 2, 200, 1)
    feats[:, 1] = 1.0
    points = torch.tensor([[0.0, 8.0, 0.0], [0.0, -8.0, 0.0]])
    read = gather_patches(feats, *bilinear_footprint(points, cameras, grid))
    assert torch.allclose(read[0, :, 0], torch.tensor([0.0, 1.0]))


def test_what_no_camera_sees_reads_zero():
    points = torch.tensor([[100.0, 1.0, 0.0]])
    read = gather_patches(torch.ones(1, 2, 200, 3), *bilinear_footprint(points, two_cameras(), (10, 20)))
    assert read.abs().max() == 0


def test_gradient_reaches_only_the_patches_read():
    feats = torch.randn(1, 2, 200, 3, requires_grad=True)
    points = torch.tensor([[0.3, 8.0, -0.5]])
    gather_patches(feats, *bilinear_footprint(points, two_cameras(), (10, 20))).sum().backward()
    touched = feats.grad.abs().sum(-1)[0]
    assert 1 <= int((touched[0] > 0).sum()) <= 4
    assert touched[1].abs().max() == 0
