"""Scale all cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS

_TURNED = 0.25
"""How far a wanted shape may be from the image's, turned by 90 degrees, to count as that by mistake."""
_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@TRANSFORMS.register_module()
class ResizeMultiView(BaseTransform):
    """Scale every image to one size, or by one factor; the intrinsics follow.

    Required Keys:

    - img: N images (H, W, 3) uint8
    - cam2img: (N, 3, 3) float64, pixels

    Modified Keys:

    - img: N images (h, w, 3) uint8
    - cam2img: u -> (u + 0.5) * w / W - 0.5, v likewise

    Args:
        size: (w, h) in pixels; width and height may scale differently.
        scale: Factor for both, in place of ``size``; w and h are rounded.
        interpolation: ``'bilinear'``, ``'area'``, or ``'auto'``: area below one half (where
            bilinear sampling would skip pixels), else bilinear.

    Raises:
        ValueError: If not exactly one of size and scale is given, or a value is not valid.
        MapLLaVAError: In use, if width and height of ``size`` are exchanged.
    """

    def __init__(
        self, size: Sequence[int] | None = None, scale: float | None = None, interpolation: str = "auto"
    ) -> None:
        if (size is None) == (scale is None):
            raise ValueError(f"ResizeMultiView needs one of size=(w, h) and scale, got {size} and {scale}")
        if size is not None and not _is_size(size):
            raise ValueError(f"ResizeMultiView.size is {size!r}: it must be (width, height) in pixels")
        if scale is not None and not (isinstance(scale, (int, float)) and 0 < scale < float("inf")):
            raise ValueError(f"ResizeMultiView.scale is {scale!r}: it must be positive")
        if interpolation != "auto" and interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"ResizeMultiView.interpolation is {interpolation!r}: auto, {' or '.join(_INTERPOLATIONS)}"
            )
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.scale = scale
        self.interpolation = interpolation
        self.refuse_turned = True  # a model file's own size is no mistake, whatever rig it meets

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """(w, h) that an image of ``width`` x ``height`` pixels gets."""
        if self.size is not None:
            return self.size
        factor = float(self.scale or 1.0)
        return max(1, round(width * factor)), max(1, round(height * factor))

    def check_shapes(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Refuse a ``size`` with width and height exchanged.

        Args:
            shapes: (width, height) of a sample's images; an upright camera among others is no mistake.

        Raises:
            MapLLaVAError: If the wanted size has the shape of most images, turned.
        """
        if self.size is None or not self.refuse_turned or not shapes:
            return
        wide, ratio = self.size[0] > self.size[1], self.size[1] / self.size[0]
        turned = [(w, h) for w, h in shapes if (w > h) != wide and abs(ratio * h / w - 1) < _TURNED]
        if 2 * len(turned) > len(shapes):
            raise MapLLaVAError(
                f"size={self.size} is (width, height), and images of {turned[0][0]} x {turned[0][1]} pixels "
                f"would be squeezed to it: write size={self.size[::-1]}"
            )

    def resize(self, img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Scale one image (H, W, 3) to ``size`` = (w, h)."""
        if size == (img.shape[1], img.shape[0]):
            return img
        if self.interpolation == "auto":
            shrink = min(size[0] / img.shape[1], size[1] / img.shape[0])
            flag = cv2.INTER_AREA if shrink < 0.5 else cv2.INTER_LINEAR
        else:
            flag = _INTERPOLATIONS[self.interpolation]
        return cv2.resize(img, size, interpolation=flag)

    def transform(self, results: dict) -> dict:
        """Scale every image and its intrinsics."""
        self.check_shapes([(img.shape[1], img.shape[0]) for img in results["img"]])
        images, intrinsics = [], []
        for img, cam2img in zip(results["img"], results["cam2img"], strict=True):
            size = self.output_size(img.shape[1], img.shape[0])
            images.append(self.resize(img, size))
            intrinsics.append(scale_intrinsics(cam2img, size[0] / img.shape[1], size[1] / img.shape[0]))
        results["img"], results["cam2img"] = images, np.stack(intrinsics)
        return results

    def __repr__(self) -> str:
        return f"ResizeMultiView(size={self.size}, scale={self.scale}, interpolation='{self.interpolation}')"


def _is_size(size: Any) -> bool:
    return (
        isinstance(size, Sequence)
        and len(size) == 2
        and all(isinstance(side, (int, float)) and side >= 1 and side % 1 == 0 for side in size)
    )


def scale_intrinsics(cam2img: np.ndarray, scale_u: float, scale_v: float) -> np.ndarray:
    """Intrinsics of a scaled image, with pixel centres at integers.

    Args:
        cam2img: (3, 3), pixels.
        scale_u: New width over old width.
        scale_v: New height over old height.

    Returns:
        (3, 3): u becomes ``(u + 0.5) * scale_u - 0.5``, v likewise.
    """
    move = np.diag([scale_u, scale_v, 1.0])
    move[:2, 2] = 0.5 * scale_u - 0.5, 0.5 * scale_v - 0.5
    return move @ cam2img
