"""Map queries: the learned tokens that become map elements, and the attention they are allowed.

The queries stand behind the prefix ``[BOS][prompt][scene tokens]`` of the decoder. The prefix is
causal and never sees the queries; every query sees the whole prefix; instance queries see each
other and their own points; a point sees its instance and its sibling points, nothing of other
instances.

Shapes: B batch, I instances, P points of an instance, Q = query tokens, D channels, L = prefix + Q.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mapllava.models.scene_seeds import SceneSeeds
from mapllava.registry import MODELS

INIT_STD = 0.02  # the scale of a language model's token embeddings
_MAX_CACHED_MASKS = 8


class BaseMapQueries(BaseModule):
    """Base of both layouts: learned content, grouping of the tokens, attention mask.

    A layout is ``num_instances`` groups of ``1 + num_point_tokens`` neighbouring tokens, the
    first of each group being the instance.

    Args:
        num_instances: I.
        num_point_tokens: point tokens per instance, 0 for none.
        embed_dims: D, given by the detector.
        scene: what queries know of the scene, ``dict(seed_points=…, octaves=…)``, see
            :class:`~mapllava.models.scene_seeds.SceneSeeds`; None for nothing.

    Attributes:
        scene_places: embedding of the scene tokens' places (S, D), which decoders add to them; None without.

    Raises:
        ValueError: if ``num_instances`` is not positive or ``num_point_tokens`` negative.
        MapLLaVAError: if ``scene`` is not valid.
    """

    scene_places: Tensor | None = None

    def __init__(
        self,
        num_instances: int,
        num_point_tokens: int,
        embed_dims: int,
        scene: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if num_instances < 1 or num_point_tokens < 0:
            raise ValueError(
                f"map queries need at least one instance and no negative number of points, got "
                f"num_instances={num_instances}, points per instance={num_point_tokens}"
            )
        self.num_instances = num_instances
        self.num_point_tokens = num_point_tokens
        self.embed_dims = embed_dims
        self.instances = nn.Parameter(torch.empty(num_instances, embed_dims))
        nn.init.normal_(self.instances, std=INIT_STD)
        self.scene = None if scene is None else SceneSeeds(embed_dims=embed_dims, **scene)
        self._masks: dict[tuple[str, int, torch.device], Any] = {}

    def of_scene(self, scene_tokens: Tensor, references: Tensor) -> BaseMapQueries | QueriesOfScene:
        """The queries as a decoder takes them, with what they know of this batch's scenes.

        Args:
            scene_tokens: (B, S, C) of the neck.
            references: (I, P, 2) in [0, 1] over the ROI, where the queries stand.
        """
        if self.scene is None:
            return self
        return QueriesOfScene(self, self.scene(scene_tokens, references), self.scene.scene_places())

    @property
    def num_tokens(self) -> int:
        """Q, the number of query tokens."""
        return self.num_instances * (1 + self.num_point_tokens)

    def forward(self, batch_size: int) -> Tensor:
        """Query tokens (B, Q, D), the same for every sample of the batch."""
        raise NotImplementedError

    def split(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split decoded queries into instances and points.

        Args:
            hidden: (B, Q, D).

        Returns:
            instances (B, I, D), and points (B, I, P, D) or None where the layout has none.

        Raises:
            ValueError: if ``hidden`` has another number of tokens than this layout.
        """
        if hidden.shape[1] != self.num_tokens:
            raise ValueError(f"decoded queries have {hidden.shape[1]} tokens, the layout {self.num_tokens}")
        groups = hidden.unflatten(1, (self.num_instances, 1 + self.num_point_tokens))
        return groups[:, :, 0], groups[:, :, 1:] if self.num_point_tokens else None

    def attention_mask(self, prefix_len: int, device: torch.device | str = "cpu") -> Tensor:
        """Which token may attend to which, (L, L) bool: True where the row may attend to the column.

        It is kept for the next call with the same length and device: do not write to it.

        Args:
            prefix_len: tokens before the first query; 0 gives the queries' own block.
            device: where the mask lives.
        """

        def build(where: torch.device) -> Tensor:
            token = torch.arange(prefix_len + self.num_tokens, device=where)
            return self.may_attend(token[:, None], token, prefix_len)

        return self._kept("bool", prefix_len, device, build)

    def block_mask(
        self, prefix_len: int, device: torch.device | str = "cpu", padding: Tensor | None = None
    ) -> Any:
        """The same rules as FlexAttention's ``BlockMask``, kept likewise unless there is padding.

        Args:
            prefix_len: tokens before the first query.
            device: where the mask lives.
            padding: (B,), how many first tokens of each sample are padding; see :func:`beside_padding`.
        """
        from torch.nn.attention.flex_attention import create_block_mask

        length = prefix_len + self.num_tokens

        def mask_mod(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
            allowed = self.may_attend(row, column, prefix_len)
            return allowed if padding is None else allowed & beside_padding(row, column, padding[batch])

        def build(where: torch.device) -> Any:
            size = None if padding is None else len(padding)
            return create_block_mask(mask_mod, size, None, length, length, device=str(where))

        if padding is not None:
            return build(padding.device)
        return self._kept("block", prefix_len, device, build)

    def may_attend(self, row: Tensor, column: Tensor, prefix_len: int) -> Tensor:
        """The attention rules, element by element: the one place where they are written.

        Args:
            row: indices of the tokens that attend, integers of any shape, e.g. (L, 1).
            column: indices of the tokens attended to; shapes must broadcast, e.g. (L,).
            prefix_len: tokens before the first query.

        Returns:
            bool of the broadcast shape, e.g. (L, L); True = may.
        """
        # Arithmetic on indices alone, so that FlexAttention can compile it and a mask needs no loop: behind
        # the prefix index // size is a token's group, and index % size == 0 its first token, the instance.
        # Indices of the prefix get below 0, as do their groups, and are never taken for those of queries.
        size = 1 + self.num_point_tokens
        query, key = row - prefix_len, column - prefix_len
        same = torch.div(query, size, rounding_mode="floor") == torch.div(key, size, rounding_mode="floor")
        instances = (query % size == 0) & (key % size == 0)
        of_query = (row >= prefix_len) & ((column < prefix_len) | same | instances)
        return of_query | ((row < prefix_len) & (column <= row))

    def _kept(
        self, kind: str, prefix_len: int, device: torch.device | str, build: Callable[[torch.device], Any]
    ) -> Any:
        key = (kind, prefix_len, torch.device(device))
        if key not in self._masks:
            if len(self._masks) >= _MAX_CACHED_MASKS:
                self._masks.clear()
            self._masks[key] = build(key[2])
        return self._masks[key]


class QueriesOfScene:
    """Map queries of one batch: a layout, and what :class:`~mapllava.models.scene_seeds.SceneSeeds` adds.

    Args:
        layout: content, tokens and mask.
        seeds: (B, I, D), added to an instance's token and those of its points.
        scene_places: (S, D), or None.
    """

    def __init__(self, layout: BaseMapQueries, seeds: Tensor, scene_places: Tensor | None) -> None:
        self.layout, self.seeds, self.scene_places = layout, seeds, scene_places

    @property
    def num_tokens(self) -> int:
        """Q, the number of query tokens."""
        return self.layout.num_tokens

    def __call__(self, batch_size: int) -> Tensor:
        """Query tokens (B, Q, D)."""
        return self.layout(batch_size) + self.seeds.repeat_interleave(1 + self.layout.num_point_tokens, dim=1)

    def attention_mask(self, prefix_len: int, device: torch.device | str = "cpu") -> Tensor:
        """Which token may attend to which, (L, L) bool, as the layout says."""
        return self.layout.attention_mask(prefix_len, device)

    def block_mask(
        self, prefix_len: int, device: torch.device | str = "cpu", padding: Tensor | None = None
    ) -> Any:
        """The same rules as FlexAttention's ``BlockMask``; ``padding`` is (B,), as in the layout."""
        return self.layout.block_mask(prefix_len, device, padding)


def with_places(tokens: Tensor, queries: Any) -> Tensor:
    """Scene tokens (B, S, D) with the embedding of their places (S, D), if the queries have one."""
    places = getattr(queries, "scene_places", None)
    return tokens if places is None else tokens + places


def beside_padding(row: Tensor, column: Tensor, padding: Tensor) -> Tensor:
    """Whether a token may attend to another given padding, which is connected to itself only.

    Args:
        row: indices of the tokens that attend, of any shape.
        column: indices of the tokens attended to; shapes must broadcast.
        padding: how many first tokens are padding, a scalar or as many as broadcast.

    Returns:
        bool of the broadcast shape, True = may.
    """
    return (column >= padding) | (row == column)


@MODELS.register_module()
class InstanceMapQueries(BaseMapQueries):
    """One token per instance; the head expands it into points.

    Args:
        num_instances: I.
        embed_dims: D, given by the detector.
        scene: see :class:`BaseMapQueries`.
    """

    def __init__(
        self, embed_dims: int, num_instances: int = 50, scene: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(num_instances, 0, embed_dims, scene)

    def forward(self, batch_size: int) -> Tensor:
        """Query tokens (B, I, D)."""
        return self.instances.expand(batch_size, -1, -1)


@MODELS.register_module()
class PointMapQueries(BaseMapQueries):
    """One instance token followed by one token per point, for every instance.

    The content is hierarchical as in MapTR: a point starts as the sum of its instance's embedding
    and of an embedding of its rank that all instances share.

    Source: MapTR, arXiv:2208.14437, section 3.2 (hierarchical query embedding).

    Args:
        num_instances: I.
        num_points: P.
        embed_dims: D, given by the detector.
        scene: see :class:`BaseMapQueries`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_instances: int = 50,
        num_points: int = 20,
        scene: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(num_instances, num_points, embed_dims, scene)
        if num_points < 2:
            raise ValueError(f"num_points={num_points}: a polyline needs at least two points")
        self.points = nn.Parameter(torch.empty(num_points, embed_dims))
        nn.init.normal_(self.points, std=INIT_STD)

    def forward(self, batch_size: int) -> Tensor:
        """Query tokens (B, Q, D) with Q = I * (1 + P), every instance followed by its points."""
        instances = self.instances.unsqueeze(1)
        tokens = torch.cat([instances, instances + self.points], dim=1).flatten(0, 1)
        return tokens.expand(batch_size, -1, -1)
