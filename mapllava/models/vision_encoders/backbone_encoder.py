"""Any image backbone of transformers or timm as a vision encoder.

Shapes: B batch, N cameras, P = h*w patches (row-major), C channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.feature_backbone import build_features, recomputes
from mapllava.models.backbones.hf_backbone import HFBackbone, keep_frozen, takes_backbone
from mapllava.models.vision_encoders.pixel_statistics import pixel_statistics
from mapllava.registry import MODELS


@MODELS.register_module()
class BackboneEncoder(BaseModule):
    """A backbone's feature maps as patch features, in float32: DINOv2 and DINOv3, Swin, ConvNeXt V2, ResNet …

    Whatever transformers' ``AutoBackbone`` knows, and timm's ``features_only`` models (extra ``timm``): a
    folder or hub id says which. Levels have the norm that the library gives them, and position embeddings
    are interpolated as the library does.

    Args:
        levels: which feature maps are read, from the finest to the coarsest: the library's
            ``out_indices``. Of transformers 0 is the stem and 1 the first stage, or layer of a plain vision
            transformer, whose layers behind the last level are not built; -1 is the last.
        pyramid: what joins the levels, ``FeaturePyramid`` or, for a plain vision transformer,
            ``SimpleFeaturePyramid``; None gives the one level as it is.
        drop_path: rate of stochastic depth in training; None leaves what the weights' config says.
        norm_eval: batch norms keep the statistics that they were loaded with.
        **backbone: see :class:`~mapllava.models.backbones.hf_backbone.HFBackbone`; ``architecture`` names a
            ``model_type`` of transformers and values of its config, or timm's ``architecture`` and
            ``model_args``.

    Attributes:
        embed_dims: C.
        stride: pixels per patch, along both axes.

    Raises:
        ValueError: as :class:`HFBackbone`.
        MapLLaVAError: as :class:`HFBackbone`; if there is no such backbone or level, several levels have no
            pyramid, or ``drop_path`` would do nothing.
    """

    @takes_backbone
    def __init__(
        self,
        *,
        levels: Sequence[int] = (-1,),
        pyramid: dict | None = None,
        drop_path: float | None = None,
        norm_eval: bool = False,
        **backbone: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if pyramid is None and len(levels) != 1:
            raise MapLLaVAError(
                f"{name}: levels={list(levels)} need a pyramid that joins them: "
                "pyramid=dict(type='FeaturePyramid', embed_dims=256)"
            )
        hf = HFBackbone(name, **backbone)
        if drop_path and hf.frozen:
            raise MapLLaVAError(
                f"{name}: drop_path={drop_path} does nothing in a frozen backbone: set frozen=False, or "
                "leave drop_path out"
            )
        self.backbone, maps = build_features(hf, levels, drop_path)
        self.base_weights = hf.describe()
        self.frozen, self.norm_eval = hf.frozen, norm_eval
        self.pixel_statistics = None if hf.source is None else pixel_statistics(hf.source.folder)
        self.pyramid: Any = None
        self.embed_dims, strides = maps.channels[0], maps.strides
        if pyramid is not None:
            self.pyramid = MODELS.build(dict(pyramid, in_channels=maps.channels, strides=maps.strides))
            self.embed_dims, strides = self.pyramid.embed_dims, self.pyramid.strides
        self.stride = strides[0]
        self.multiple = math.lcm(*strides, *maps.strides)

    @staticmethod
    def recomputes(architecture: Mapping[str, Any] | None) -> bool:
        """Whether ``gradient_checkpointing`` is there for a config's ``architecture``."""
        return recomputes(architecture)

    def train(self, mode: bool = True) -> BackboneEncoder:
        """Set the mode; a frozen backbone stays in evaluation mode, with ``norm_eval`` its batch norms do."""
        super().train(mode)
        if self.frozen:
            keep_frozen(self.backbone, mode)
        elif self.norm_eval:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()
        return self

    def grid_size(self, img_hw: tuple[int, int]) -> tuple[int, int]:
        """Patch grid (h, w) of images of (H, W) pixels.

        Raises:
            MapLLaVAError: if a side is no multiple of the coarsest stride: a rim that is cut off or added
                would shift the patches against their viewing rays.
        """
        unit = self.multiple
        if img_hw[0] % unit or img_hw[1] % unit:
            low = [max(unit, side // unit * unit) for side in img_hw]
            high = [-(-side // unit) * unit for side in img_hw]
            raise MapLLaVAError(
                f"images of {img_hw[0]} x {img_hw[1]} (H x W) are no multiple of the backbone's {unit} "
                f"pixels: resize or crop them in the data pipeline, to {low[0]} x {low[1]} or "
                f"{high[0]} x {high[1]}"
            )
        return img_hw[0] // self.stride, img_hw[1] // self.stride

    def forward(self, img: Tensor) -> Tensor:
        """Encode images (B, N, 3, H, W), normalised, into patch features (B, N, P, C) float32."""
        batch, views = img.shape[:2]
        self.grid_size((img.shape[-2], img.shape[-1]))
        # A frozen backbone behind images without a gradient: autograd would keep activations for nothing
        learns = img.requires_grad or any(weight.requires_grad for weight in self.backbone.parameters())
        pixels = img.flatten(0, 1).to(next(self.backbone.parameters()).dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            maps = self.backbone(pixels).feature_maps  # each (B*N, C, h, w)
        joined = maps[0] if self.pyramid is None else self.pyramid([each.float() for each in maps])
        # (B*N, C, h, w) to (B, N, h*w, C), row-major
        return joined.float().flatten(2).transpose(1, 2).unflatten(0, (batch, views))
