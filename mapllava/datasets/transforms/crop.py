"""Cut margins off all cameras."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from mapllava.errors import MapLLaVAError
from mapllava.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropMultiView(BaseTransform):
    """Cut rows and columns off every image; the principal point moves with them.

    Required Keys:

    - img: N images (H, W, 3)
    - cam2img: (N, 3, 3) float64, pixels

    Modified Keys:

    - img: N views (H - top - bottom, W - left - right, 3), not copied
    - cam2img: cx less ``left``, cy less ``top``

    Args:
        top: Rows cut at the top, pixels.
        bottom: Rows cut at the bottom, pixels.
        left: Columns cut at the left, pixels.
        right: Columns cut at the right, pixels.

    Raises:
        ValueError: If a margin is negative.
        MapLLaVAError: If the margins leave nothing of an image.
    """

    def __init__(self, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> None:
        margins = {"top": top, "bottom": bottom, "left": left, "right": right}
        for name, margin in margins.items():
            if int(margin) != margin or margin < 0:
                raise ValueError(f"CropMultiView.{name} is {margin!r}: use whole pixels >= 0")
        self.top, self.bottom, self.left, self.right = (int(margin) for margin in margins.values())

    def transform(self, results: dict) -> dict:
        """Crop every image and move its principal point."""
        cropped = []
        for img in results["img"]:
            height, width = img.shape[:2]
            if self.top + self.bottom >= height or self.left + self.right >= width:
                raise MapLLaVAError(
                    f"{self!r} leaves nothing of an image of {width} x {height} pixels: crop less, "
                    "or resize to more before it"
                )
            cropped.append(img[self.top : height - self.bottom, self.left : width - self.right])
        cam2img = results["cam2img"].copy()
        cam2img[:, 0] -= self.left * cam2img[:, 2]
        cam2img[:, 1] -= self.top * cam2img[:, 2]
        results["img"], results["cam2img"] = cropped, cam2img
        return results

    def __repr__(self) -> str:
        return f"CropMultiView(top={self.top}, bottom={self.bottom}, left={self.left}, right={self.right})"
