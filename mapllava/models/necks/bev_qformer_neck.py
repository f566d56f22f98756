"""A Q-Former whose queries have a place on the ground and read the patches that show it.

Shapes: B batch, N cameras, P = h*w patches, C patch channels, Y x X cells, Z heights,
S scene tokens (a coarser grid on the ground), D token channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_names, check_sizes
from mapllava.errors import MapLLaVAError
from mapllava.models.camera import Cameras
from mapllava.models.losses.settings import check_numbers
from mapllava.models.necks.base import MapNeck, NeckOutput
from mapllava.models.necks.bev_encoder import BEVEncoder
from mapllava.models.necks.bev_grid import cell_centres, stride_per_axis
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import MapDataSample


@MODELS.register_module()
class BEVQFormerNeck(BEVEncoder, MapNeck):
    """A Q-Former condenses a BEV map and the patches around each query's place.

    :class:`BEVEncoder` makes the map. The queries of the Q-Former stand on a coarser grid: each starts
    from the BEV features around its place and attends, in the Q-Former's cross-attention, to the patches
    whose viewing ray meets the ground within a radius of it. What a query learns of its own starts from
    BLIP-2's 32 tokens where the Q-Former has its weights. An auxiliary segmentation of the BEV map trains
    the sampling directly.

    Args:
        in_channels: C, channels of the patch features (given by the detector).
        map_spec: frame, ROI and classes (given by the detector).
        qformer: config of the Q-Former core, with ``pretrained`` or ``architecture``.
        bev_dims: channels of the BEV map.
        cell: size of a BEV cell in metres.
        heights: heights at which a cell reads the images, ``dict(above_ground=[…], ground=…)``: metres
            above the ground, and the ground's z in each map frame, ``{frame: metres}``.
        tokens: ``dict(stride=…, skip=…, probe=…)``. ``stride``: BEV cells per query along both axes, or
            (along the car, across it). ``skip``: add to a scene token what a convolution makes of its own
            BEV cells, so that what lies there need not go through the Q-Former. ``probe``: weight, over that
            of the BEV map's segmentation, of a loss by which every scene token segments its own cells; 0 for
            none.
        dilations: dilation of each BEV convolution.
        attention: ``dict(radius=…, pool=…)``: metres around its place within which a query may
            read patches, and the patches per side averaged into one before it does.
        loss_bev: weights ``dict(bce=…, dice=…)`` of the auxiliary segmentation loss.
    """

    def __init__(
        self,
        in_channels: int,
        map_spec: MapSpec,
        qformer: dict,
        bev_dims: int,
        cell: float,
        heights: Mapping | Sequence[float],
        tokens: Mapping[str, Any],
        dilations: Sequence[int],
        attention: dict[str, float],
        loss_bev: dict[str, float],
    ) -> None:
        super().__init__(in_channels, map_spec, bev_dims, cell, heights, dilations, loss_bev)
        check_names("BEVQFormerNeck.tokens", tokens, ("stride", "skip", "probe"))
        check_sizes("BEVQFormerNeck.tokens", stride=tokens.get("stride", 0))
        self.probe_weight = float(tokens.get("probe", 0.0))
        check_numbers(self, probe=self.probe_weight)
        check_names("BEVQFormerNeck.attention", attention, ("radius", "pool"))
        check_sizes("BEVQFormerNeck.attention", pool=int(attention["pool"]))
        check_numbers(self, radius=attention["radius"])
        self.attention_radius, self.attention_pool = float(attention["radius"]), int(attention["pool"])
        strides = self.strides = stride_per_axis(tokens["stride"], map_spec)
        self.token_shape = (-(-self.shape[0] // strides[0]), -(-self.shape[1] // strides[1]))
        self.register_buffer("token_places", cell_centres(map_spec, self.token_shape), persistent=False)
        self.qformer = MODELS.build(dict(qformer, encoder_dims=in_channels))
        self.embed_dims = self.qformer.embed_dims
        self.to_query = nn.Linear(bev_dims, self.embed_dims)
        self.query_tokens = nn.Parameter(self.qformer.initial_queries(len(self.token_places)))
        if (tokens.get("skip") or self.probe_weight) and any(
            count % stride for count, stride in zip(self.shape, strides, strict=True)
        ):
            raise MapLLaVAError(
                f"neck.tokens.stride: tokens of {strides[0]} x {strides[1]} cells do not divide the BEV "
                f"map's {self.shape[0]} x {self.shape[1]}, and skip and probe need whole tokens: choose "
                "strides that do, or another neck.cell"
            )
        if tokens.get("skip"):
            self.skip = nn.Conv2d(bev_dims, self.embed_dims, strides, stride=strides)
            self.skip_norm = nn.LayerNorm(self.embed_dims)
        if self.probe_weight:
            self.probe = nn.Linear(self.embed_dims, len(map_spec.classes) * strides[0] * strides[1])

    def forward(self, feats: Tensor, grid: tuple[int, int], cameras: Cameras) -> NeckOutput:
        """Patch features (B, N, P, C) to scene tokens (B, S, D) and a BEV map (B, C_bev, Y, X)."""
        bev = self.encode_bev(feats, grid, cameras)
        pooled = F.adaptive_avg_pool2d(bev, self.token_shape).flatten(2).transpose(1, 2)  # (B, S, bev_dims)
        queries = self.to_query(pooled) + self.query_tokens
        coarse, coarse_grid = self._pool(feats, grid)
        tokens = self.qformer(queries, coarse, self.visible_patches(coarse_grid, cameras))
        if hasattr(self, "skip"):
            tokens = tokens + self.skip_norm(self.skip(bev).flatten(2).transpose(1, 2))
        return NeckOutput(tokens, bev, {"segmentation": self.segment(bev)})

    def _probed(self, tokens: Tensor) -> Tensor:
        """Class logits of the cells (B, n_classes, Y, X), each by the scene token that it belongs to."""
        # Tokens of y x x cells: (B, Y/y, X/x, n_classes, y, x) to (B, n_classes, Y/y, y, X/x, x)
        grid = self.probe(tokens).unflatten(1, self.token_shape).unflatten(-1, (-1, *self.strides))
        return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)

    def _pool(self, feats: Tensor, grid: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """Average patches (B, N, P, C) over squares: (B, N*P', C) and their grid."""
        if self.attention_pool == 1:
            return feats.flatten(1, 2), grid
        coarse = (-(-grid[0] // self.attention_pool), -(-grid[1] // self.attention_pool))
        image = feats.flatten(0, 1).transpose(1, 2).unflatten(-1, grid)
        pooled = F.adaptive_avg_pool2d(image, coarse).flatten(2).transpose(1, 2)
        return pooled.reshape(feats.shape[0], -1, feats.shape[-1]), coarse

    def visible_patches(self, grid: tuple[int, int], cameras: Cameras) -> Tensor:
        """Which patches a query may read, (B, S, N*P) bool; a query near no patch reads all."""
        origin, direction = cameras.patch_rays(grid)  # (B, N, 1, 3) and (B, N, P, 3)
        # Where a ray meets the ground; one at or above the horizon does not, and its distance is not used
        down = direction[..., 2].clamp(max=-1e-6)
        hits = direction[..., 2] < -1e-6
        reach = (self.ground - origin[..., 2]) / down
        ground = origin[..., :2] + reach.unsqueeze(-1) * direction[..., :2]
        distance = torch.cdist(self.token_places.expand(len(ground), -1, -1), ground.flatten(1, 2))
        mask = (distance <= self.attention_radius) & hits.flatten(1).unsqueeze(1)
        return mask | ~mask.any(-1, keepdim=True)

    def loss(self, out: NeckOutput, data_samples: Sequence[MapDataSample]) -> dict[str, Tensor]:
        """Segmentation losses of the BEV map, and of the scene tokens where they are probed.

        Returns:
            By name, scalars: ``loss_bev_bce`` and ``loss_bev_dice``; ``loss_probe_bce`` and
            ``loss_probe_dice``.
        """
        losses = self.segmentation_loss(out.extras["segmentation"], data_samples)
        if self.probe_weight:
            probed = self.segmentation_loss(self._probed(out.scene_tokens), data_samples, "probe")
            losses |= {name: self.probe_weight * loss for name, loss in probed.items()}
        return losses
