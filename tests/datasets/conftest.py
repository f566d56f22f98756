"""A small asymmetric rig with blobs painted where known points project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

NAMES = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
YAWS = (1.0, -54.0, 58.0, 179.0, 109.0, -113.0)
SIGMA = 9.0


@dataclass
class Rig:
    """Cameras (map frame = lidar), the points painted into their images, and the files."""

    cam2img: np.ndarray
    lidar2cam: np.ndarray
    points: np.ndarray
    size: tuple[int, int]
    paths: list[str] = field(default_factory=list)

    def results(self, **extra) -> dict:
        """What the data set hands to the first transform."""
        lidar2ego = np.eye(4)
        lidar2ego[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
        lidar2ego[:3, 3] = [0.9, 0.1, 1.8]
        ego2global = np.eye(4)
        ego2global[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
        ego2global[:3, 3] = [300.0, 900.0, 0.0]
        return {
            "sample_token": "token-0",
            "cam_names": list(NAMES),
            "img_paths": list(self.paths),
            "cam2img": self.cam2img.copy(),
            "lidar2cam": self.lidar2cam.copy(),
            "lidar2ego": lidar2ego,
            "ego2global": ego2global,
            "map_spec": MapSpec(),
            "flip": False,
            "polylines": polylines(),
            **extra,
        }


def polylines() -> list[Polyline]:
    """An asymmetric map: a divider at x = 3, a crossing ahead on the left, a bent boundary."""
    ring = np.array([[-6.0, 10], [-2, 10], [-2, 13], [-6, 13], [-6, 10]])
    return [
        Polyline(0, np.array([[3.0, -20], [3, 25]])),
        Polyline(1, ring, closed=True),
        Polyline(2, np.array([[8.0, -30], [8, 0], [11, 30]])),
    ]


def lidar2cam(yaw_deg: float, position: tuple[float, float, float], pitch_deg: float = 2.0) -> np.ndarray:
    """Map frame (x right, y forward) to camera; yaw counter-clockwise from forward."""
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    right = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    ahead = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    forward = np.cos(pitch) * ahead - np.sin(pitch) * np.array([0.0, 0, 1])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ np.array(position)
    return matrix


def project(cam2img: np.ndarray, world2cam: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (K, 3) to pixels (K, 2) and depths (K,), written out by hand."""
    cam = points @ world2cam[:3, :3].T + world2cam[:3, 3]
    pixel = cam @ cam2img.T
    return pixel[:, :2] / pixel[:, 2:], cam[:, 2]


def make_rig(folder: Path, size: tuple[int, int] = (1600, 900)) -> Rig:
    """Six JPEG files with a Gaussian blob at every visible point."""
    width, height = size
    f = 0.79 * width
    cam2img = np.stack(
        [
            [[f + 4 * i, 0.3, width / 2 + 7 - 3 * i], [0, f - 2 * i, height / 2 - 5 + 2 * i], [0, 0, 1]]
            for i in range(6)
        ]
    )
    positions = [
        (0.1, 0.9, -0.3),
        (0.5, 0.7, -0.3),
        (-0.6, 0.6, -0.2),
        (0, -0.8, -0.3),
        (-0.5, 0, -0.3),
        (0.4, 0.1, -0.2),
    ]
    extrinsics = np.stack([lidar2cam(yaw, at) for yaw, at in zip(YAWS, positions, strict=True)])
    angles = np.deg2rad(np.arange(0, 360, 9.0) + 2.0)
    radius = 8.0 + 5.0 * np.cos(3 * angles + 0.4)
    heights = np.where(np.arange(len(angles)) % 2 == 0, -1.6, 0.4)
    points = np.stack([radius * np.sin(angles), radius * np.cos(angles), heights], axis=1)
    rig = Rig(cam2img, extrinsics, points, size)
    for i, name in enumerate(NAMES):
        img = np.full((height, width), 40.0)
        pixels, depth = project(cam2img[i], extrinsics[i], points)
        for (u, v), d in zip(pixels, depth, strict=True):
            if d > 0.5 and -50 < u < width + 50 and -50 < v < height + 50:
                paint(img, u, v)
        path = folder / "samples" / name / "0.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.repeat(img.round()[..., None], 3, axis=2), [cv2.IMWRITE_JPEG_QUALITY, 97])
        rig.paths.append(str(path))
    return rig


def paint(img: np.ndarray, u: float, v: float) -> None:
    """Add a Gaussian with its centre at pixel (u, v); pixel centres are at integers."""
    rows, cols = np.arange(img.shape[0])[:, None], np.arange(img.shape[1])[None]
    r0, r1 = int(max(v - 50, 0)), int(max(v + 51, 0))
    c0, c1 = int(max(u - 50, 0)), int(max(u + 51, 0))
    blob = np.exp(-((cols[:, c0:c1] - u) ** 2 + (rows[r0:r1] - v) ** 2) / (2 * SIGMA**2))
    img[r0:r1, c0:c1] = np.maximum(img[r0:r1, c0:c1], 40 + 190 * blob)


@pytest.fixture(scope="session")
def rig(tmp_path_factory) -> Rig:
    """The rig with 1600 x 900 images."""
    return make_rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture(scope="session")
def odd_rig(tmp_path_factory) -> Rig:
    """The rig with 1603 x 901 images, which no decoder halves evenly."""
    return make_rig(tmp_path_factory.mktemp("odd_rig"), (1603, 901))
