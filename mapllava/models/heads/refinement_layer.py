"""One layer of iterative refinement: points read the BEV map, instances attend, references move.

Shapes: B batch, I instances, P points, D instance channels, E point channels, K look-ups per point,
Y x X BEV cells.
Source: iterative refinement with detached references after Deformable DETR; hierarchical
instance and point queries after MapTR.
"""

from __future__ import annotations

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_heads, check_sizes
from mapllava.models.look_up import bilinear_corners, gather_rows
from mapllava.models.position_embedding import sine_position_embedding
from mapllava.models.precision import full_precision
from mapllava.registry import MODELS


def mlp(in_dims: int, hidden: int, out_dims: int, still: bool = False) -> nn.Sequential:
    """Two linear layers around a ReLU; ``still``: they give 0 at first."""
    first, last = nn.Linear(in_dims, hidden), nn.Linear(hidden, out_dims)
    if still:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.ReLU(), last)


def point_branch(point_dims: int) -> nn.Sequential:
    """Point content (..., E) to the move of its reference (..., 2); at first no reference moves."""
    return mlp(point_dims, point_dims, 2, still=True)


@MODELS.register_module()
class RefinementLayer(BaseModule):
    """Updates the content of instances and points, and predicts how the points' references move.

    A point's content includes the position embedding of its current reference. Where the neck gives a BEV
    map, each point reads it at its reference and at ``num_samples`` learned offsets around it.

    Args:
        embed_dims: D, channels of an instance.
        bev_dims: channels of the BEV map, 0 for none.
        num_points: P.
        point_dims: E, channels of a point's content.
        num_heads: heads of the attention between instances.
        ffn_dims: hidden width of the feed-forward net.
        num_samples: extra look-ups per point in the BEV map.
        num_frequencies: octaves of the position embedding.
        dropout: of the attention and the feed-forward net.
    """

    def __init__(
        self,
        embed_dims: int,
        bev_dims: int,
        num_points: int,
        point_dims: int,
        num_heads: int,
        ffn_dims: int,
        num_samples: int,
        num_frequencies: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads("RefinementLayer", embed_dims, num_heads)
        check_sizes(
            "RefinementLayer", point_dims=point_dims, ffn_dims=ffn_dims, num_frequencies=num_frequencies
        )
        self.bev_dims, self.num_heads = bev_dims, num_heads
        self.num_samples, self.num_frequencies, self.dropout = num_samples, num_frequencies, dropout
        self.position_embed = nn.Linear(4 * num_frequencies, point_dims)
        self.from_instance = nn.Linear(embed_dims, point_dims)
        if bev_dims:
            self.offsets = nn.Linear(point_dims, 2 * num_samples)
            self.look = nn.Linear(bev_dims * (1 + num_samples), point_dims)
        self.mix = mlp(point_dims, point_dims, point_dims)
        self.norm_point = nn.LayerNorm(point_dims)
        self.gather = nn.Linear(point_dims * num_points, embed_dims)
        self.norm_attn = nn.LayerNorm(embed_dims)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.norm_ffn = nn.LayerNorm(embed_dims)
        self.ffn = mlp(embed_dims, ffn_dims, embed_dims)
        self.norm_out = nn.LayerNorm(embed_dims)
        self.to_points = nn.Linear(embed_dims, num_points * point_dims)
        self.point_branch = point_branch(point_dims)
        if bev_dims:
            self._spread_offsets()

    def _spread_offsets(self) -> None:
        """Start with the look-ups on a ring around the reference, its radius 0.05 of the BEV map."""
        nn.init.zeros_(self.offsets.weight)
        angle = torch.arange(self.num_samples) * (2 * math.pi / max(self.num_samples, 1))
        with torch.no_grad():
            self.offsets.bias.copy_(0.05 * torch.stack([angle.cos(), angle.sin()], dim=-1).flatten())

    def forward(
        self, instances: Tensor, points: Tensor, references: Tensor, bev: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One refinement.

        Args:
            instances: (B, I, D).
            points: (B, I, P, E) content of the points.
            references: (B, I, P, 2) in [0, 1], detached.
            bev: (B, bev_dims, Y, X) or None.

        Returns:
            instances (B, I, D), points (B, I, P, E) and the move of the references in
            inverse-sigmoid space (B, I, P, 2), float32.
        """
        embedded = sine_position_embedding(references, self.num_frequencies).to(instances.dtype)
        content = points + self.position_embed(embedded) + self.from_instance(instances).unsqueeze(2)
        if bev is not None:
            content = content + self._read(bev, references, content)
        points = self.norm_point(points + self.mix(F.relu(content)))
        instances = instances + self.gather(points.flatten(2))
        instances = instances + self._attend(self.norm_attn(instances))
        update = self.ffn(self.norm_ffn(instances))
        instances = instances + F.dropout(update, self.dropout, self.training)
        out = self.norm_out(instances)
        points = points + self.to_points(out).view_as(points)
        return instances, points, self.point_branch(points).float()

    def _read(self, bev: Tensor, references: Tensor, content: Tensor) -> Tensor:
        """Read the BEV map at the references and around them, (B, I, P, E)."""
        offsets = self.offsets(content).float().unflatten(-1, (self.num_samples, 2))
        (rows, cols), looks = bev.shape[-2:], 1 + self.num_samples
        # ``look`` is linear on the K readings of a point, concatenated: weight (E, K*C). A reading is a
        # weighted sum of cells, and linear maps commute with weighted sums. So each K-th of the weight is
        # applied to all cells first, and the K readings of a point become ONE sum over 4 * K table rows:
        # Y*X cells are mapped in place of B*I*P*K readings, and (B, I, P, K, C) never exists.
        cells = bev.flatten(2).transpose(1, 2)  # (B, Y*X, C)
        weight = self.look.weight.unflatten(1, (looks, -1)).transpose(0, 1).flatten(0, 1)  # (K*E, C)
        table = F.linear(cells, weight)  # (B, Y*X, K*E)
        with full_precision(bev):
            # (B, I, P, K, 2) in [0, 1]; as cells, whose centres lie at whole numbers
            places = torch.cat([references.unsqueeze(-2), references.unsqueeze(-2) + offsets], dim=-2)
            size = places.new_tensor([cols, rows])
            x, y = (places * size - 0.5).unbind(-1)
            indices, weights = bilinear_corners(x, y, (rows, cols))
            # (B, I, P, K, 4): row cell * K + k of the table is what look-up k makes of the cell
            indices = indices * looks + torch.arange(looks, device=indices.device).unsqueeze(-1)
            read = gather_rows(
                table.unflatten(-1, (looks, -1)).flatten(1, 2),  # (B, Y*X*K, E)
                indices.flatten(1, 2).flatten(2),
                weights.flatten(1, 2).flatten(2),
            )
        return (read.view(*content.shape) + self.look.bias).to(content.dtype)

    def _attend(self, x: Tensor) -> Tensor:
        """Self-attention between the instances of a sample, (B, I, D) to the same."""
        # (B, I, 3 * D) to three of (B, heads, I, D / heads)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        return self.proj(
            F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)
        )
