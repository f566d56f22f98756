"""From a bent picture to the pinhole's, as OpenCV's two models have it; OpenCV is imported when it is used.

The pinhole has the camera's own focal lengths, centre and size: what a wide lens shows beyond it is cut
off, and where the lens shows less, the picture is black.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from mapllava.structures.rig import RigCamera


def pinhole(camera: RigCamera) -> RigCamera:
    """The camera that an undistorted image belongs to."""
    return camera if camera.distortion is None else replace(camera, distortion=None)


def undistort(image: np.ndarray, camera: RigCamera) -> np.ndarray:
    """The image as a pinhole would have taken it.

    Args:
        image: ``(H, W, 3)`` uint8, of the camera's size.
        camera: The camera with its distortion; without one the image is returned as it is.

    Returns:
        ``(H, W, 3)`` uint8, of :func:`pinhole`; black where the lens shows nothing.
    """
    import cv2

    if camera.distortion is None:
        return image
    distortion = camera.distortion
    key = (
        camera.cam2img.astype(np.float64).tobytes(),
        camera.size,
        distortion.model,
        distortion.coefficients,
    )
    along, down = _maps(*key)
    return cv2.remap(image, along, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def folded_share(camera: RigCamera) -> float:
    """Share of the pinhole's pixels where the model folds: farther out it comes back inwards.

    Args:
        camera: The camera; 0 without distortion.
    """
    if camera.distortion is None:
        return 0.0
    width, height = camera.size
    u, v = np.meshgrid(np.linspace(0, width - 1, 65), np.linspace(0, height - 1, 65))
    return float(_folds(camera.cam2img, camera.distortion.model, camera.distortion.coefficients, u, v).mean())


@lru_cache(maxsize=32)
def _maps(
    k: bytes, size: tuple[int, int], model: str, coefficients: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel of the pinhole, where in the stored image it is, (H, W) float32 each."""
    import cv2

    matrix = np.frombuffer(k, np.float64).reshape(3, 3)
    numbers = np.array(coefficients)
    if model == "fisheye":
        maps = cv2.fisheye.initUndistortRectifyMap(matrix, numbers, np.eye(3), matrix, size, cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(matrix, numbers, np.eye(3), matrix, size, cv2.CV_32FC1)
    along, down = (np.array(part) for part in maps)
    u, v = np.meshgrid(np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64))
    along[
        _folds(matrix, model, coefficients, u, v)
    ] = -2.0  # outside: a second copy of the middle would be seen there
    return along, down


def _folds(
    matrix: np.ndarray, model: str, coefficients: tuple[float, ...], u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Which pixels of the pinhole lie beyond the radius up to which the model's radius grows."""
    radius = np.hypot((u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1])
    steps = np.linspace(0, float(radius.max()), 1001)
    bent = np.diff(_radius(model, coefficients, steps))
    first = np.flatnonzero(bent <= 0)
    return radius > steps[first[0]] if len(first) else np.zeros(radius.shape, bool)


def _radius(model: str, coefficients: tuple[float, ...], radius: np.ndarray) -> np.ndarray:
    """Distance from the centre in the stored image of a ray at ``radius``; the focal length is 1."""
    k = np.zeros(14)
    k[: len(coefficients)] = coefficients
    if model == "fisheye":
        angle = np.arctan(radius)
        return angle * (1 + k[0] * angle**2 + k[1] * angle**4 + k[2] * angle**6 + k[3] * angle**8)
    square = radius**2
    above = 1 + k[0] * square + k[1] * square**2 + k[4] * square**3
    return radius * above / (1 + k[5] * square + k[6] * square**2 + k[7] * square**3)
