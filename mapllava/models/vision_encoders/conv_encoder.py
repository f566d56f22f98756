"""A small convolutional vision encoder, for training from scratch on a CPU.

Shapes: B batch, N cameras, P = h*w patches (row-major), C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_sizes
from mapllava.registry import MODELS


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


@MODELS.register_module()
class ConvVisionEncoder(BaseModule):
    """Strided stages of residual blocks; the last ``fused_stages`` are merged at the finer scale.

    Args:
        channels: channels of each stage; every stage halves the resolution.
        blocks: residual blocks of each stage.
        embed_dims: channels C of the patch features.
        out_stage: index of the stage whose resolution the patch features have; coarser stages
            are upsampled and added to it.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: if ``channels`` and ``blocks`` differ in length or ``out_stage`` is no stage.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[int],
        embed_dims: int,
        out_stage: int,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) != len(blocks):
            raise ValueError(f"channels {tuple(channels)} and blocks {tuple(blocks)} differ in length")
        if not 0 <= out_stage < len(channels):
            raise ValueError(f"out_stage {out_stage} is not one of the {len(channels)} stages")
        check_sizes("ConvVisionEncoder", channels=channels, embed_dims=embed_dims)
        self.embed_dims = embed_dims
        self.out_stage = out_stage
        self.stages = nn.ModuleList()
        previous = 3
        for width, depth in zip(channels, blocks, strict=True):
            down = [nn.Conv2d(previous, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            self.stages.append(nn.Sequential(*down, *(_ResidualBlock(width) for _ in range(depth))))
            previous = width
        self.laterals = nn.ModuleList(nn.Conv2d(width, embed_dims, 1) for width in channels[out_stage:])
        self.norm = nn.BatchNorm2d(embed_dims)

    @property
    def stride(self) -> int:
        """Pixels of the input per patch, along both axes."""
        return 2 ** (self.out_stage + 1)

    def grid_size(self, img_hw: tuple[int, int]) -> tuple[int, int]:
        """Patch grid (h, w) of an input of (H, W) pixels."""
        return -(-img_hw[0] // self.stride), -(-img_hw[1] // self.stride)

    def forward(self, img: Tensor) -> Tensor:
        """Encode images (B, N, 3, H, W), normalised, into patch features (B, N, P, C)."""
        batch, views = img.shape[:2]
        x = img.flatten(0, 1).to(memory_format=torch.channels_last)  # (B*N, 3, H, W); convolutions run faster
        merged: Tensor | None = None
        size: tuple[int, int] | None = None
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < self.out_stage:
                continue
            lateral = self.laterals[index - self.out_stage](x)
            if merged is None:
                merged, size = lateral, (lateral.shape[-2], lateral.shape[-1])
            else:
                merged = merged + F.interpolate(lateral, size=size, mode="nearest")
        if merged is None:
            raise RuntimeError("the encoder has no stage")  # excluded by the constructor
        out = F.relu(self.norm(merged))
        # (B*N, C, h, w) to (B, N, h*w, C), row-major
        return out.flatten(2).transpose(1, 2).reshape(batch, views, -1, self.embed_dims)
