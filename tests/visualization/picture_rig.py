"""Six cameras in the LiDAR's place, for the tests of pictures."""

import numpy as np

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}
HEIGHT = 1.8
CAMERAS = {
    "CAM_FRONT": 0.0,
    "CAM_FRONT_RIGHT": -55.0,
    "CAM_FRONT_LEFT": 55.0,
    "CAM_BACK": 180.0,
    "CAM_BACK_LEFT": 110.0,
    "CAM_BACK_RIGHT": -110.0,
}


def lidar2cam(yaw):
    """A camera at the LiDAR, turned to the left by ``yaw`` degrees; looks along y at 0."""
    a = np.radians(yaw)
    right, forward = [np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0]
    out = np.eye(4)
    out[:3, :3] = [right, [0, 0, -1], forward]
    return out


def intrinsics(width, height):
    return np.array([[0.8 * width, 0, (width - 1) / 2], [0, 0.8 * width, (height - 1) / 2], [0, 0, 1]])


def lidar2ego():
    """x right, y forward to x forward, y left, and the mounting height."""
    out = np.eye(4)
    out[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    out[:3, 3] = [0.9, 0, HEIGHT]
    return out
