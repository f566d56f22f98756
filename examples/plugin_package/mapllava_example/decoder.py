"""A map decoder of one's own: every query meets the mean of the scene tokens."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.models.map_queries import BaseMapQueries
from mapllava.registry import MODELS


@MODELS.register_module()
class MeanSceneDecoder(BaseModule):
    """Queries and the mean scene token through one feed-forward network; queries never see each other.

    What the detector needs of a decoder: ``embed_dims`` and ``forward``.

    Args:
        in_channels: channels of the scene tokens (given by the detector).
        embed_dims: D.
    """

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.project = nn.Linear(in_channels, embed_dims)
        self.mix = nn.Sequential(
            nn.Linear(embed_dims, embed_dims), nn.GELU(), nn.Linear(embed_dims, embed_dims)
        )

    def forward(
        self, scene_tokens: Tensor, queries: BaseMapQueries, prompts: Sequence[str | None] | None = None
    ) -> Tensor:
        """Scene tokens (B, S, in_channels) and map queries to decoded queries (B, Q, D); no prompt."""
        scene = self.project(scene_tokens).mean(dim=1, keepdim=True)  # (B, 1, D)
        tokens = queries(len(scene_tokens))  # (B, Q, D)
        return tokens + self.mix(tokens + scene)
