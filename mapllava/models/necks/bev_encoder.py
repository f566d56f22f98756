"""Patch features to a map of the ground: its cells sample the images, convolutions exchange what they read.

Shapes: B batch, N cameras, P = h*w patches, C patch channels, Y x X cells, Z heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_names, check_sizes
from mapllava.errors import MapLLaVAError
from mapllava.models.camera import Cameras
from mapllava.models.look_up import gather_rows
from mapllava.models.losses.settings import check_numbers
from mapllava.models.necks.bev_grid import cell_centres, heights_in_frame
from mapllava.models.necks.ground_sampling import bilinear_footprint
from mapllava.models.precision import full_precision
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample


class _BEVBlock(nn.Module):
    """A dilated 3x3 convolution around a shortcut, (B, C, Y, X) to the same."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.conv(x)))


class BEVEncoder(BaseModule):
    """The part of a neck that makes a BEV map of patch features, and trains it by a segmentation.

    Every cell of a grid over the ROI reads the patch features at the projections of its centre at
    several heights (zero where no camera sees it). Small convolutions turn this into a BEV map.

    A neck inherits from it, so that its weights stand beside the neck's own, where checkpoints have them.

    Args:
        in_channels: C, channels of the patch features.
        map_spec: frame, ROI and classes.
        bev_dims: channels of the BEV map.
        cell: size of a BEV cell in metres.
        heights: see :func:`~mapllava.models.necks.bev_grid.heights_in_frame`.
        dilations: dilation of each BEV convolution; there may be none.
        loss_bev: weights ``dict(bce=…, dice=…)`` of the segmentation loss.

    Raises:
        MapLLaVAError: if a size, weight or height is not valid.
    """

    def __init__(
        self,
        in_channels: int,
        map_spec: MapSpec,
        bev_dims: int,
        cell: float,
        heights: Mapping | Sequence[float],
        dilations: Sequence[int],
        loss_bev: Mapping[str, float],
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, bev_dims=bev_dims, **({"dilations": dilations} if dilations else {}))
        check_names(f"{name}.loss_bev", loss_bev, ("bce", "dice"))
        check_numbers(self, **loss_bev)
        self.bev_dims, self.loss_weights = bev_dims, dict(loss_bev)
        self.ground, levels = heights_in_frame(heights, map_spec.frame)
        self.shape = map_spec.roi.grid_shape(cell)
        centres = cell_centres(map_spec, self.shape)
        points = [torch.cat([centres, torch.full_like(centres[:, :1], z)], dim=-1) for z in levels]
        self.register_buffer("points", torch.cat(points), persistent=False)  # (Z*Y*X, 3) metres
        self.num_heights = len(levels)

        self.fuse = nn.Linear(in_channels * len(levels), bev_dims)
        self.place = nn.Parameter(torch.zeros(len(centres), bev_dims))
        self.blocks = nn.Sequential(*(_BEVBlock(bev_dims, dilation) for dilation in dilations))
        self.segment = nn.Conv2d(bev_dims, len(map_spec.classes), 1)

    def encode_bev(self, feats: Tensor, grid: tuple[int, int], cameras: Cameras) -> Tensor:
        """Patch features (B, N, P, C) of a patch grid (h, w) to a BEV map (B, bev_dims, Y, X)."""
        rows, cols = self.shape
        with full_precision(feats):
            # What a cell reads is a sparse row of weights over all patches of all cameras: one look-up in the
            # table (B, N*P, C) for Z*Y*X points, instead of a dense grid_sample for every camera
            indices, weights = bilinear_footprint(self.points, cameras, grid)
            sampled = gather_rows(feats.flatten(1, 2), indices, weights)  # (B, Z*Y*X, C)
        sampled = sampled.view(len(feats), self.num_heights, rows * cols, -1)
        cells = self.fuse(sampled.permute(0, 2, 1, 3).flatten(2)) + self.place  # (B, Y*X, bev_dims)
        # (B, Y*X, bev_dims) transposed is (B, bev_dims, Y, X) in channels-last memory, without a copy
        return self.blocks(F.relu(cells).transpose(1, 2).unflatten(2, (rows, cols)))

    def segmentation_loss(
        self, logits: Tensor, data_samples: Sequence[MapDataSample], name: str = "bev"
    ) -> dict[str, Tensor]:
        """Binary cross-entropy and Dice of the BEV map's segmentation, of each sample and class.

        Args:
            logits: (B, n_classes, Y, X).
            data_samples: B, with ``gt_bev`` (n_classes, Y, X) of this encoder's grid.
            name: in the losses' names.

        Returns:
            Scalars ``loss_<name>_bce`` and ``loss_<name>_dice``.

        Raises:
            MapLLaVAError: if ``gt_bev`` has another grid.
        """
        logits = logits.float()
        for sample in data_samples:
            if tuple(sample.gt_bev.data.shape[-2:]) != self.shape:
                raise MapLLaVAError(
                    f"gt_bev of sample {sample.sample_token} has {tuple(sample.gt_bev.data.shape[-2:])} "
                    f"cells, the neck {self.shape}: set RasterizeBEV's cell to the neck's"
                )
        target = torch.stack([sample.gt_bev.data for sample in data_samples]).to(logits)
        bce = F.binary_cross_entropy_with_logits(logits, target)
        probability = logits.sigmoid()
        overlap = (probability * target).sum((2, 3))  # (B, n_classes), as is size
        size = (probability + target).sum((2, 3))
        dice = (1 - (2 * overlap + 1) / (size + 1)).mean()
        return {
            f"loss_{name}_bce": self.loss_weights["bce"] * bce,
            f"loss_{name}_dice": self.loss_weights["dice"] * dice,
        }
