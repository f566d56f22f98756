"""The interface of a neck: patch features to scene tokens and, in some, a BEV map.

Shapes: B batch, N cameras, P patches, C patch channels, S scene tokens, D token channels,
Y x X BEV cells (row 0 = y_min, column 0 = x_min of the ROI).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmengine.model import BaseModule
from torch import Tensor

from mapllava.models.camera import Cameras
from mapllava.structures.map_data_sample import MapDataSample


@dataclass
class NeckOutput:
    """What a neck gives to the decoder and the head.

    Attributes:
        scene_tokens: (B, S, D).
        bev: (B, C_bev, Y, X) feature map over the ROI, or None.
        extras: whatever the neck's own ``loss`` needs.
    """

    scene_tokens: Tensor
    bev: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


class MapNeck(BaseModule):
    """Base of all necks.

    Attributes:
        embed_dims: channels D of the scene tokens.
        bev_dims: channels of the BEV map, 0 where the neck gives none.
        num_cameras: N where the neck has weights of its own for each camera; None where it takes any
            number of them, in any order.
    """

    embed_dims: int
    bev_dims: int = 0
    num_cameras: int | None = None

    @abstractmethod
    def forward(self, feats: Tensor, grid: tuple[int, int], cameras: Cameras) -> NeckOutput:
        """Condense patch features (B, N, P, C) of a patch grid (h, w) into scene tokens."""

    def loss(self, out: NeckOutput, data_samples: Sequence[MapDataSample]) -> dict[str, Tensor]:
        """Auxiliary losses of the neck, scalars, each a mean over the batch's samples; none by default.

        One that is a mean over something else says over how many by a method ``avg_factor(data_samples)``,
        so that accumulated batches and those of other processes weigh what they would in one large batch.
        """
        return {}
