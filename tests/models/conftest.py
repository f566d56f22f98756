"""Two cameras back to back, as every model test needs them."""

import math

import pytest
import torch

from mapllava.models.camera import Cameras

SIZE = (48, 96)  # H, W


def _cameras(yaw: float = 0.0) -> Cameras:
    k = torch.eye(4)
    k[0, 0] = k[1, 1] = 40.0
    k[0, 2], k[1, 2] = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    front = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    back = torch.tensor([[-1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    turn = torch.eye(4)
    c, s = math.cos(yaw), math.sin(yaw)
    turn[0, 0], turn[0, 1], turn[1, 0], turn[1, 1] = c, -s, s, c
    return Cameras(torch.stack([k @ front @ turn, k @ back])[None], SIZE)


@pytest.fixture
def cameras():
    """``cameras(yaw)``: one camera that looks along +y, turned by yaw, and one along -y; 48 x 96 pixels."""
    return _cameras
