"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.datasets.transforms.rng import fresh_generator
from mapllava.registry import TRANSFORMS

_LUMA = np.array([0.114, 0.587, 0.299])
_MIDDLE = 127.5


@TRANSFORMS.register_module()
class PhotoMetricDistortionMultiView(BaseTransform):
    """Distort the colours of all cameras, with one random choice per sample, or one per camera.

    Brightness, contrast, saturation and hue are each linear in BGR, so the four become one 3 x 4
    matrix and one saturating uint8 pass per image (hue turns about the grey axis at constant
    luma, in place of HSV's hexagon). Each happens with probability ``prob``.

    Required Keys:

    - img: N images (H, W, 3) uint8, BGR

    Modified Keys:

    - img: as before, distorted

    Args:
        brightness: Largest shift, grey levels of 255.
        contrast: Range of the factor about mid-grey.
        saturation: Range of the factor of the distance from grey.
        hue: Largest turn, degrees.
        prob: Probability of each of the four.
        per_camera: Draw for every camera anew, not once per sample.

    Raises:
        ValueError: If a range is negative or reversed, or ``prob`` is no probability.
    """

    def __init__(
        self,
        brightness: float = 32.0,
        contrast: Sequence[float] = (0.6, 1.4),
        saturation: Sequence[float] = (0.6, 1.4),
        hue: float = 12.0,
        prob: float = 0.5,
        per_camera: bool = False,
    ) -> None:
        for name, bounds in (("contrast", contrast), ("saturation", saturation)):
            if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1]:
                raise ValueError(f"PhotoMetricDistortionMultiView.{name} is {bounds!r}: use 0 <= low <= high")
        for name, value in (("brightness", brightness), ("hue", hue)):
            if value < 0:
                raise ValueError(f"PhotoMetricDistortionMultiView.{name} is {value!r}: it must be >= 0")
        if not 0 <= prob <= 1:
            raise ValueError(f"PhotoMetricDistortionMultiView.prob is {prob!r}: it must lie in [0, 1]")
        self.brightness, self.hue, self.prob, self.per_camera = brightness, hue, prob, per_camera
        self.contrast = (float(contrast[0]), float(contrast[1]))
        self.saturation = (float(saturation[0]), float(saturation[1]))

    def transform(self, results: dict) -> dict:
        """Draw, then distort every image."""
        rng = fresh_generator()
        shared = None if self.per_camera else self._draw(rng)
        images = []
        for img in results["img"]:
            matrix = self._draw(rng) if shared is None else shared
            images.append(cv2.transform(img, matrix))
        results["img"] = images
        return results

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        use = rng.random(4) < self.prob
        return colour_matrix(
            brightness=rng.uniform(-self.brightness, self.brightness) if use[0] else 0.0,
            contrast=rng.uniform(*self.contrast) if use[1] else 1.0,
            saturation=rng.uniform(*self.saturation) if use[2] else 1.0,
            hue=rng.uniform(-self.hue, self.hue) if use[3] else 0.0,
        )


def colour_matrix(brightness: float, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """The colour change as one affine map on BGR.

    Args:
        brightness: Shift, grey levels of 255.
        contrast: Factor about mid-grey (127.5).
        saturation: Factor of the distance from the grey of equal luma; 0 is grey.
        hue: Turn about the grey axis, degrees.

    Returns:
        (3, 4): ``bgr' = matrix[:, :3] @ bgr + matrix[:, 3]``. Grey stays grey and, but for
        brightness and contrast, luma stays.
    """
    # Rodrigues' rotation about the grey axis, as a matrix (3, 3); it moves luma a little, so the luma of what
    # it gives is taken off again, and the pixel's own put in its place
    angle = np.deg2rad(hue)
    axis = np.full(3, 3**-0.5)
    cross = np.cross(np.eye(3), axis)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    grey = np.tile(_LUMA, (3, 1))
    chroma = saturation * (turn - grey @ turn)
    linear = contrast * (grey + chroma)
    offset = np.full((3, 1), (1 - contrast) * _MIDDLE + brightness)
    return np.hstack([linear, offset])
