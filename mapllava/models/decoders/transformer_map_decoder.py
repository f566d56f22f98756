"""A plain map decoder, with no language model.

Shapes: B batch, Q map-query tokens, S scene tokens, D decoder channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.config.mistake import check_heads, check_sizes
from mapllava.models.map_queries import BaseMapQueries, QueriesOfScene, with_places
from mapllava.registry import MODELS


class _Attention(nn.Module):
    """Multi-head attention over a fused kernel; a bool mask says who may attend.

    Not ``nn.MultiheadAttention``: its names and first weights would be others than those of our checkpoints.
    """

    def __init__(self, dims: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(dims, dims)
        self.key_value = nn.Linear(dims, 2 * dims)
        self.out = nn.Linear(dims, dims)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        # (B, Q, D) to (B, heads, Q, D / heads); keys and values come of the context, (B, S, D)
        heads = (self.num_heads, -1)
        query = self.query(x).unflatten(-1, heads).transpose(1, 2)
        key, value = (
            part.unflatten(-1, heads).transpose(1, 2) for part in self.key_value(context).chunk(2, dim=-1)
        )
        rate = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        return self.out(attended.transpose(1, 2).flatten(2))


class _DecoderLayer(nn.Module):
    """Self-attention, cross-attention and a feed-forward network, each behind its own norm."""

    def __init__(self, dims: int, num_heads: int, ffn_ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = round(dims * ffn_ratio)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dims) for _ in range(3))
        self.self_attention = _Attention(dims, num_heads, dropout)
        self.cross_attention = _Attention(dims, num_heads, dropout)
        self.ffn = nn.Sequential(
            nn.Linear(dims, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dims)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, scene: Tensor, mask: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.dropout(self.self_attention(y, y, mask))
        x = x + self.dropout(self.cross_attention(self.norm2(x), scene))
        return x + self.dropout(self.ffn(self.norm3(x)))


@MODELS.register_module()
class TransformerMapDecoder(BaseModule):
    """Queries attend to each other, as their layout allows, and to all scene tokens.

    The answer to "what does the language model add?": the same interface as ``LLMMapDecoder``,
    without one, so prompts mean nothing to it.

    Source: DETR, arXiv:2005.12872 (decoder), with the norms before the sublayers.

    Args:
        in_channels: channels of the scene tokens (given by the detector).
        embed_dims: D.
        num_layers: decoder layers.
        num_heads: attention heads.
        ffn_ratio: width of the feed-forward network over D.
        dropout: rate on attention weights, sublayer outputs and the feed-forward network.

    Raises:
        MapLLaVAError: if ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        num_layers: int,
        num_heads: int,
        ffn_ratio: float = 4.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads("TransformerMapDecoder", embed_dims, num_heads)
        check_sizes("TransformerMapDecoder", num_layers=num_layers)
        self.embed_dims = embed_dims
        self.project = nn.Sequential(
            nn.LayerNorm(in_channels), nn.Linear(in_channels, embed_dims), nn.LayerNorm(embed_dims)
        )
        self.layers = nn.ModuleList(
            _DecoderLayer(embed_dims, num_heads, ffn_ratio, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims)

    def forward(
        self,
        scene_tokens: Tensor,
        queries: BaseMapQueries | QueriesOfScene,
        prompts: Sequence[str | None] | None = None,
    ) -> Tensor:
        """Decode the map queries.

        Args:
            scene_tokens: (B, S, in_channels).
            queries: the map queries, for their tokens and their mask.
            prompts: ignored.

        Returns:
            (B, Q, D).
        """
        scene = with_places(self.project(scene_tokens), queries)
        mask = queries.attention_mask(0, scene.device)  # (Q, Q): scene tokens are cross-attended by all
        x = queries(len(scene))
        for layer in self.layers:
            x = layer(x, scene, mask)
        return self.norm(x)
