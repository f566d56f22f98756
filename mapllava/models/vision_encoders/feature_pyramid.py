"""Several levels of an image backbone, joined into one map of patch features.

Shapes: B images, C channels, (h, w) cells of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_sizes
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS


class _ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


@MODELS.register_module()
class FeaturePyramid(BaseModule):
    """Coarser levels are enlarged and added to the next finer one; the finest is what is given.

    Source: feature pyramid networks, arXiv:1612.03144, section 3, with the layer norms of ViTDet.

    Args:
        in_channels: of each level (given by the encoder).
        strides: pixels per cell of each level, from the finest on (given by the encoder).
        embed_dims: channels of what is given.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        strides: of all levels within.

    Raises:
        MapLLaVAError: if a stride is no multiple of the one before.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        embed_dims: int,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_sizes(type(self).__name__, embed_dims=embed_dims)
        if any(coarse % fine for fine, coarse in pairwise(strides)):
            raise MapLLaVAError(
                f"FeaturePyramid: levels of {', '.join(map(str, strides))} pixels a cell do not lie on each "
                "other: choose levels from the finest to the coarsest, each a multiple of the one before"
            )
        self.embed_dims, self.strides = embed_dims, list(strides)
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, embed_dims, 1, bias=False), _ChannelNorm(embed_dims))
            for width in in_channels
        )
        self.out = nn.Sequential(
            nn.Conv2d(embed_dims, embed_dims, 3, padding=1, bias=False), _ChannelNorm(embed_dims)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, h, w), the finest first, to one map (B, embed_dims, h, w) of the finest's size."""
        laterals = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        joined = laterals[-1]
        for finer in reversed(laterals[:-1]):
            joined = finer + F.interpolate(joined, size=finer.shape[-2:], mode="nearest")
        return self.out(joined)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Levels for a plain vision transformer, all made of its last: transposed convolutions and pooling.

    Source: ViTDet, arXiv:2203.16527, section 3. Joined as in :class:`FeaturePyramid`.

    Args:
        in_channels: of the encoder's levels (given by the encoder); the last is read.
        strides: of its levels (given by the encoder).
        embed_dims: channels of what is given.
        scales: sizes of the levels made, of the last level's: powers of two, the largest first.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        strides: of all levels made.

    Raises:
        MapLLaVAError: if a scale is no power of two, or a level would have less than a pixel.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        embed_dims: int,
        scales: Sequence[float] = (2.0, 1.0, 0.5),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        exact = [strides[-1] / scale for scale in scales]
        if (
            not scales
            or list(scales) != sorted(set(scales), reverse=True)
            or any(scale not in (4, 2, 1, 0.5) for scale in scales)
            or any(stride != int(stride) for stride in exact)
        ):
            raise MapLLaVAError(
                f"SimpleFeaturePyramid: scales={list(scales)} of cells of {strides[-1]} pixels: use some "
                "of 4, 2, 1 and 0.5, the largest first, which leave whole pixels"
            )
        self.levels = nn.ModuleList()
        channels = []
        for scale in scales:
            width = in_channels[-1]
            steps: list[nn.Module] = []
            for _ in range(int(scale).bit_length() - 1 if scale > 1 else 0):
                steps += [
                    nn.ConvTranspose2d(width, width // 2, 2, stride=2),
                    _ChannelNorm(width // 2),
                    nn.GELU(),
                ]
                width //= 2
            channels.append(width)
            # the last of them has no activation
            self.levels.append(nn.Sequential(*steps[:-1]) if scale >= 1 else nn.MaxPool2d(2))
        self.join = FeaturePyramid(channels, [int(stride) for stride in exact], embed_dims)
        self.embed_dims, self.strides = embed_dims, self.join.strides

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Levels (B, C, h, w), of which the last is read, to one map (B, embed_dims, h, w)."""
        return self.join([level(maps[-1]) for level in self.levels])
