"""A vision encoder of one's own: the smallest one that can learn, one convolution per patch."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.registry import MODELS


@MODELS.register_module()
class PatchMeanEncoder(BaseModule):
    """Patches of ``stride`` pixels, each projected by itself.

    What the detector needs of a vision encoder: ``embed_dims``, ``grid_size`` and ``forward``.

    Args:
        embed_dims: C, channels of the patch features.
        stride: pixels of a patch along both axes.
    """

    def __init__(self, embed_dims: int, stride: int) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.stride = stride
        self.project = nn.Conv2d(3, embed_dims, stride, stride)

    def grid_size(self, img_hw: tuple[int, int]) -> tuple[int, int]:
        """Patch grid (h, w) of an input of (H, W) pixels."""
        return img_hw[0] // self.stride, img_hw[1] // self.stride

    def forward(self, img: Tensor) -> Tensor:
        """Images (B, N, 3, H, W) to patch features (B, N, h * w, C), rows first."""
        patches = self.project(img.flatten(0, 1)).relu()
        return patches.flatten(2).transpose(1, 2).unflatten(0, img.shape[:2])
