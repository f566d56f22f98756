"""Read the cameras of a sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.datasets.image_file import FLAGS, ImageError, decode, open_image
from mapllava.datasets.transforms.resize import ResizeMultiView, scale_intrinsics
from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadMultiViewImages(BaseTransform):
    """Read every camera's image, and scale it on the way where ``size`` or ``scale`` says so.

    JPEG, PNG, BMP, PPM, TIFF and WebP files are taken at 8 bits per channel as they are stored;
    transparency is left aside. A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size for about half the
    time, because the decoder leaves out frequencies. With ``size`` given the strongest reduction that
    still leaves at least that size is taken, and :class:`ResizeMultiView` does the rest: write the size
    here and no ResizeMultiView behind it. Orientation tags are ignored, since the intrinsics belong to
    the pixels as stored.

    Required Keys:

    - img_paths: N paths; or img: N images (h, w, 3) uint8 BGR, as a camera delivers them
    - cam2img: (N, 3, 3) float64, pixels of the stored images

    Added Keys:

    - img: N images (h, w, 3) uint8, BGR
    - ori_cam2img: (N, 3, 3), cam2img as it was, for pictures that show the stored images

    Modified Keys:

    - cam2img: of the images as returned

    Args:
        size: Wanted (w, h) in pixels; None keeps the stored size.
        scale: Wanted factor, in place of ``size``.
        reduce: ``'auto'``, or 1, 2, 4, 8 to decode at that fraction whatever is wanted.
        interpolation: See :class:`ResizeMultiView`.
        max_pixels: Most pixels that an image may have.

    Raises:
        ValueError: If an argument, or an image given as an array, is not valid.
        MapLLaVAError: If a file is missing, empty, cut short, damaged inside, no image, or of more pixels
            than ``max_pixels`` or bits than its values explain; names camera and file.
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        scale: float | None = None,
        reduce: str | int = "auto",
        interpolation: str = "auto",
        max_pixels: int = 100_000_000,
    ) -> None:
        if reduce != "auto" and reduce not in FLAGS:
            raise ValueError(f"LoadMultiViewImages.reduce is {reduce!r}: use 'auto', 1, 2, 4 or 8")
        self.reduce = reduce
        self.max_pixels = max_pixels
        given = size is not None or scale is not None
        self.resizer = ResizeMultiView(size, scale, interpolation) if given else None

    def transform(self, results: dict) -> dict:
        """Read, check, decode and scale every image."""
        images, intrinsics, shapes = [], [], []
        results["ori_cam2img"] = np.array(results["cam2img"])
        sources = results["img"] if "img" in results else results["img_paths"]
        names = results.get("cam_names") or [""] * len(sources)
        for name, source, cam2img in zip(names, sources, results["cam2img"], strict=True):
            load = self._scale if isinstance(source, np.ndarray) else self._load
            img, cam2img, shape = load(source, name, cam2img)
            images.append(img)
            intrinsics.append(cam2img)
            shapes.append(shape)
        if self.resizer is not None:
            self.resizer.check_shapes(shapes)
        results["img"], results["cam2img"] = images, np.stack(intrinsics)
        return results

    def _load(
        self, path: str, name: str, cam2img: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        file = open_image(path, name, self.max_pixels)
        target = None if self.resizer is None else self.resizer.output_size(*file.size)
        factor = self._factor(file.size if file.kind == "jpeg" else None, target)
        try:
            img = decode(file, factor)
        except ImageError as error:
            raise MapLLaVAError(f"image '{path}' ({name}) {error}") from error
        cam2img = scale_intrinsics(cam2img, 1.0 / factor, 1.0 / factor)
        return (*self._scale(img, name, cam2img, factor, target)[:2], file.size)

    def _scale(
        self,
        img: np.ndarray,
        name: str,
        cam2img: np.ndarray,
        factor: int = 1,
        target: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
            raise MapLLaVAError(f"image of camera '{name}' is {img.dtype} {img.shape}, not uint8 (H, W, 3)")
        height, width = img.shape[:2]
        if self.resizer is None:
            return img, cam2img, (width, height)
        target = target or self.resizer.output_size(width * factor, height * factor)
        cam2img = scale_intrinsics(cam2img, target[0] / width, target[1] / height)
        return self.resizer.resize(img, target), cam2img, (width, height)

    def _factor(self, full: tuple[int, int] | None, target: tuple[int, int] | None) -> int:
        if self.reduce != "auto":
            return int(self.reduce)
        if full is None or target is None:
            return 1
        enough = [f for f in FLAGS if full[0] >= f * target[0] and full[1] >= f * target[1]]
        return max(enough, default=1)

    def __repr__(self) -> str:
        return f"LoadMultiViewImages(reduce={self.reduce!r}, resizer={self.resizer!r})"
