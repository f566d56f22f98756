"""What map queries know of the scene before they are decoded: where they stand, and what lies there.

Shapes: B batch, I instances, P points of a reference, S = Y x X scene tokens on a grid over the ROI (row 0 =
y_min, column 0 = x_min), C their channels, D decoder channels, K points read per query.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.config.mistake import check_sizes
from mapllava.errors import MapLLaVAError
from mapllava.models.look_up import bilinear_corners, gather_rows
from mapllava.models.position_embedding import sine_position_embedding
from mapllava.models.precision import full_precision


class SceneSeeds(BaseModule):
    """Seeds of map queries, and one embedding of places for scene tokens and map queries alike.

    A query's seed is what the scene tokens say along its reference: read bilinearly at ``seed_points`` of the
    reference's points, projected and normalised. The references are detached: reading moves them nowhere.

    Args:
        in_channels: C (given by the detector).
        embed_dims: D (given by the detector).
        grid: rows Y and columns X of the scene tokens (given by the detector).
        seed_points: K; 0 for no seeds.
        octaves: frequencies of the sine embedding of places; 0 for no embedding.

    Raises:
        MapLLaVAError: if a size is not valid, or both are 0.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, grid: Sequence[int], seed_points: int, octaves: int
    ) -> None:
        super().__init__()
        check_sizes("map_queries.scene", 0, seed_points=seed_points, octaves=octaves)
        if not seed_points and not octaves:
            raise MapLLaVAError("map_queries.scene has neither seed_points nor octaves: set it to None")
        self.rows, self.cols = grid
        self.seed_points, self.octaves = seed_points, octaves
        if seed_points:
            self.project = nn.Linear(seed_points * in_channels, embed_dims)
            self.norm = nn.LayerNorm(embed_dims)
        if octaves:
            self.embed = nn.Linear(4 * octaves, embed_dims)
            y = (torch.arange(self.rows) + 0.5) / self.rows
            x = (torch.arange(self.cols) + 0.5) / self.cols
            places = torch.stack([x.expand(self.rows, -1), y[:, None].expand(-1, self.cols)], dim=-1)
            self.register_buffer("places", places.flatten(0, 1), persistent=False)  # (S, 2) in [0, 1]

    def forward(self, scene_tokens: Tensor, references: Tensor) -> Tensor:
        """What is added to the queries' learned content.

        Args:
            scene_tokens: (B, S, C).
            references: (I, P, 2) in [0, 1] over the ROI.

        Returns:
            (B, I, D).

        Raises:
            MapLLaVAError: if there are not S scene tokens.
        """
        references = references.detach().float()
        given: Tensor | None = None
        if self.octaves:
            given = self._embed(references.mean(1)).expand(len(scene_tokens), -1, -1)
        if not self.seed_points:
            return given  # type: ignore[return-value]  # one of the two is there
        seeds = self.norm(self.project(self._read(scene_tokens, references).to(scene_tokens.dtype)))
        return seeds if given is None else seeds + given

    def scene_places(self) -> Tensor | None:
        """Embedding of the scene tokens' places (S, D); None without."""
        return self._embed(self.places) if self.octaves else None

    def _embed(self, places: Tensor) -> Tensor:
        return self.embed(sine_position_embedding(places, self.octaves).to(self.embed.weight.dtype))

    def _read(self, scene_tokens: Tensor, references: Tensor) -> Tensor:
        """The scene tokens along the references, (B, I, K*C)."""
        if scene_tokens.shape[1] != self.rows * self.cols:
            raise MapLLaVAError(
                f"{scene_tokens.shape[1]} scene tokens for a grid of {self.rows} x {self.cols}: the neck's "
                "token_shape is not that of its scene tokens"
            )
        along = torch.linspace(0, references.shape[1] - 1, self.seed_points, device=references.device)
        places = references[:, along.round().long()]  # (I, K, 2)
        with full_precision(scene_tokens):
            x, y = (places * places.new_tensor([self.cols, self.rows]) - 0.5).unbind(-1)
            # At the edge a place lies outside of the centres of its cells: there it reads the outermost
            x, y = x.clamp(0, self.cols - 1), y.clamp(0, self.rows - 1)
            cells, weights = bilinear_corners(x, y, (self.rows, self.cols))  # (I, K, 4)
            batch = len(scene_tokens)
            cells = cells.flatten(0, 1).expand(batch, -1, -1)
            read = gather_rows(scene_tokens, cells, weights.flatten(0, 1).expand(batch, -1, -1))
        return read.unflatten(1, places.shape[:2]).flatten(2)
