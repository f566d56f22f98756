"""A synthetic surround rig, for estimates, contract checks and tests."""

from __future__ import annotations

import torch

from mapllava.models.camera import Cameras


def surround_cameras(
    img_hw: tuple[int, int], batch_size: int = 1, num_cameras: int = 6, yaw: float = 0.0
) -> Cameras:
    """Cameras at the map frame's origin, looking outwards at equal angles, the first along +y.

    Args:
        img_hw: (H, W) in pixels; the horizontal field of view is 70 degrees.
        batch_size: B.
        num_cameras: N.
        yaw: radians by which the whole rig is turned, counter-clockwise seen from above.
    """
    height, width = img_hw
    focal = 0.5 * width / torch.tan(torch.deg2rad(torch.tensor(35.0)))
    intrinsics = torch.eye(4)
    intrinsics[0, 0] = intrinsics[1, 1] = focal
    intrinsics[0, 2], intrinsics[1, 2] = (width - 1) / 2, (height - 1) / 2
    angle = yaw + torch.arange(num_cameras) * (2 * torch.pi / num_cameras)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(num_cameras)
    extrinsics = torch.zeros(num_cameras, 4, 4)
    extrinsics[:, 0, :3] = torch.stack([cos, sin, zero], dim=-1)  # image right
    extrinsics[:, 1, 2] = -1.0  # image down
    extrinsics[:, 2, :3] = torch.stack([-sin, cos, zero], dim=-1)  # depth
    extrinsics[:, 3, 3] = 1.0
    return Cameras((intrinsics @ extrinsics).expand(batch_size, -1, -1, -1), img_hw)
