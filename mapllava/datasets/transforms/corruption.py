"""What goes wrong on a car: cameras that fail, bad light and weather, calibration that has moved."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.datasets.transforms.rng import fresh_generator
from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS

_SENSOR_NOISE = 4.0  # grey levels of 255
_DEGREES_PER_METRE = 20.0  # of a camera whose mount has moved: 1 degree goes with 5 cm


@dataclass(frozen=True)
class Corruption:
    """One way to spoil a sample.

    Attributes:
        title: what it does, with the unit of its strengths.
        strengths: of levels 1, 2 and 3.
        apply: changes a pipeline's dict in place by a strength, with a generator.
    """

    title: str
    strengths: tuple[float, float, float]
    apply: Callable[[dict, float, np.random.Generator], None]


def _missing(results: dict, cameras: float, rng: np.random.Generator) -> None:
    count = len(results["img"])
    for index in rng.choice(count, int(cameras), replace=False):
        results["img"][index] = np.zeros_like(results["img"][index])


def _blur(results: dict, share: float, rng: np.random.Generator) -> None:
    for index, img in enumerate(results["img"]):
        length = max(2, round(share * img.shape[1]))
        results["img"][index] = cv2.filter2D(img, -1, _streak(length, rng.uniform(-15, 15)))


def _dark(results: dict, share: float, rng: np.random.Generator) -> None:
    for index, img in enumerate(results["img"]):
        noisy = share * img + rng.normal(0, _SENSOR_NOISE, img.shape)
        results["img"][index] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _rain(results: dict, density: float, rng: np.random.Generator) -> None:
    for index, img in enumerate(results["img"]):
        height, width = img.shape[:2]
        drops = (rng.random((height, width)) < density).astype(np.float32)
        # a drop falls along a twelfth of the height while the shutter is open, slanted as the car drives
        streaks = cv2.filter2D(drops, -1, _streak(max(3, height // 12), 90 + rng.uniform(-20, 20)))
        veil = 0.5 + 0.5 * np.exp(-40 * density)  # contrast that is left behind the water in the air
        wet = (img - 127.5) * veil + 127.5 + 600.0 * np.minimum(streaks, 0.25)[..., None]
        results["img"][index] = np.clip(np.rint(wet), 0, 255).astype(np.uint8)


def _jpeg(results: dict, quality: float, rng: np.random.Generator) -> None:
    for index, img in enumerate(results["img"]):
        _, data = cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
        results["img"][index] = cv2.imdecode(data, cv2.IMREAD_COLOR)


def _calibration(results: dict, degrees: float, rng: np.random.Generator) -> None:
    moved = np.array(results["lidar2cam"], dtype=np.float64)
    for camera in moved:
        error = np.eye(4)
        error[:3, :3] = cv2.Rodrigues(np.deg2rad(rng.normal(0, degrees, 3)))[0]
        error[:3, 3] = rng.normal(0, degrees / _DEGREES_PER_METRE, 3)
        camera[:] = error @ camera
    results["lidar2cam"] = moved


def _streak(length: int, degrees: float) -> np.ndarray:
    """(k, k) float32 kernel that smears along a line of some pixels; sums to one."""
    side = length + 1 - length % 2
    kernel = np.zeros((side, side), dtype=np.float32)
    reach = length / 2 * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    middle = np.full(2, (side - 1) / 2)
    ends = [tuple(int(value) for value in np.rint(middle + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,))
    return kernel / kernel.sum()


CORRUPTIONS = {
    "missing": Corruption("cameras that are black", (1, 2, 3), _missing),
    "blur": Corruption("motion blur, share of the image's width", (0.01, 0.02, 0.04), _blur),
    "dark": Corruption("light that is left, with the sensor's noise", (0.4, 0.2, 0.1), _dark),
    "rain": Corruption("rain streaks, drops a pixel, and haze", (0.002, 0.006, 0.02), _rain),
    "jpeg": Corruption("JPEG quality", (30, 15, 7), _jpeg),
    "calibration": Corruption(
        "cameras turned, degrees about each axis, and moved, 5 cm a degree", (0.3, 0.6, 1.2), _calibration
    ),
}
"""What :class:`CorruptMultiView` can do."""


@TRANSFORMS.register_module()
class CorruptMultiView(BaseTransform):
    """Spoil a sample in one way, the same at every visit, and for every model of one size of images.

    It works on what the network gets: blur is a share of the width; the grain of noise, streaks and JPEG's
    blocks are pixels of that size.

    The kinds follow MapBench (arXiv:2406.12214), in implementations and strengths of our own; it is a test of
    robustness, and :class:`CameraDropout` what trains for it.

    Required Keys:

    - sample_token
    - img: N images (H, W, 3) uint8, BGR
    - lidar2cam: (N, 4, 4) float64, where the corruption is ``calibration``

    Modified Keys:

    - img, or lidar2cam

    Args:
        name: One of :data:`CORRUPTIONS`.
        level: 1, 2 or 3.

    Raises:
        MapLLaVAError: If there is no such corruption or level; in use, if no camera would be left.
    """

    def __init__(self, name: str, level: int = 2) -> None:
        if name not in CORRUPTIONS or level not in (1, 2, 3):
            raise MapLLaVAError(
                f"corruption '{name}:{level}': use one of {', '.join(CORRUPTIONS)}, and level 1, 2 or 3"
            )
        self.name, self.level = name, level

    def check_cameras(self, count: int) -> None:
        """Refuse to take all of a rig's cameras away.

        Raises:
            MapLLaVAError: If a rig of ``count`` cameras would see nothing.
        """
        lost = CORRUPTIONS["missing"].strengths[self.level - 1]
        if self.name == "missing" and count <= lost:
            others = " ".join(name for name in CORRUPTIONS if name != "missing")
            raise MapLLaVAError(
                f"corruption missing:{self.level}: a rig of {count} cameras cannot lose {lost:g} of them and "
                f"still see; choose a lower level, or leave it out: --corrupt {others}"
            )

    def transform(self, results: dict) -> dict:
        """Spoil it."""
        self.check_cameras(len(results["img"]))
        seed = zlib.crc32(str(results["sample_token"]).encode())
        corruption = CORRUPTIONS[self.name]
        results["img"] = list(results["img"])
        corruption.apply(results, corruption.strengths[self.level - 1], np.random.default_rng(seed))
        return results

    def __repr__(self) -> str:
        return f"CorruptMultiView(name={self.name!r}, level={self.level})"


@TRANSFORMS.register_module()
class CameraDropout(BaseTransform):
    """Make some cameras of a sample black, so that a model learns to do without.

    The lines stay as they are: where nobody looks the map is guessed from what the others see.

    Required Keys:

    - img: N images (H, W, 3) uint8

    Modified Keys:

    - img: some all zero

    Args:
        prob: Probability that a sample loses cameras.
        max_cameras: Most that are lost together; each number from one to it is as likely. One is always left.

    Raises:
        ValueError: If ``prob`` is no probability, or ``max_cameras`` below one.
    """

    def __init__(self, prob: float = 0.5, max_cameras: int = 2) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"CameraDropout.prob is {prob!r}: it must lie in [0, 1]")
        if type(max_cameras) is not int or max_cameras < 1:
            raise ValueError(f"CameraDropout.max_cameras is {max_cameras!r}: use a whole number from 1")
        self.prob, self.max_cameras = prob, max_cameras

    def transform(self, results: dict) -> dict:
        """Draw, then blacken."""
        rng = fresh_generator()
        most = min(self.max_cameras, len(results["img"]) - 1)
        if rng.random() < self.prob and most > 0:
            results["img"] = list(results["img"])
            _missing(results, int(rng.integers(1, most + 1)), rng)
        return results

    def __repr__(self) -> str:
        return f"CameraDropout(prob={self.prob}, max_cameras={self.max_cameras})"
