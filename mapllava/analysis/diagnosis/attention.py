"""How much of a neck's cross-attention goes to each camera.

Shapes: B batch, N cameras, H heads, Q queries, P patches of a camera, K = N*P patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

_CROSS = "crossattention.attention"  # where transformers' Q-Former keeps it in a layer


def attention_weights(query: Tensor, key: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Softmax of scaled scores, which fused kernels never show.

    Args:
        query: (B, H, Q, C).
        key: (B, H, K, C).
        scale: Factor of the scores.
        mask: Broadcasts to (B, H, Q, K); bool with True = may read, or added to the scores.

    Returns:
        (B, H, Q, K) float32; every row sums to 1.
    """
    scores = (query.float() @ key.float().transpose(-1, -2)) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1)


def readable(mask: Tensor | None, shape: tuple[int, int, int]) -> Tensor:
    """Where queries may read, (B, Q, K) float, of a mask as :func:`attention_weights` takes it."""
    if mask is None:
        return torch.ones(shape)
    allowed = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    return allowed[:, 0].expand(shape).float().cpu()


class CrossAttentionRecorder:
    """Watches a neck's cross-attention by forward hooks while it is entered, and only then.

    The weights are computed beside the model, from the queries and keys that the layer's own
    projections give, so neither the kernel that the model uses nor its output changes.

    Args:
        neck: A neck with a Q-Former inside (``QFormerNeck``, ``BEVQFormerNeck`` or one of your own).
    """

    def __init__(self, neck: nn.Module) -> None:
        self.neck = neck
        self.layers = [module for name, module in neck.named_modules() if name.endswith(_CROSS)]
        self.one_by_one = False
        self._handles: list[Any] = []
        self._views = (0, 0)
        self._mass: dict[int, Tensor] = {}
        self._even: list[Tensor] = []
        self._spread: list[float] = []
        self._reach: list[float] = []

    def __enter__(self) -> CrossAttentionRecorder:
        self._handles.append(self.neck.register_forward_pre_hook(self._note_views))
        for index, layer in enumerate(self.layers):
            self._handles.append(layer.register_forward_hook(self._hook(index), with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def result(self, names: Sequence[str]) -> dict[str, Any]:
        """What was seen.

        Args:
            names: The cameras'.

        Returns:
            ``cameras``; ``share`` of the attention of each, summing to 1, over all layers; ``even``,
            the share that attention spread evenly over the patches in reach would give;
            ``by_layer``; ``one_by_one``, whether each camera has queries of its own, so that all get
            the same by construction; ``patches_read``, exponential of the entropy of a query's
            weights, and ``patches_in_reach``, both means over queries and heads.
        """
        mass = torch.stack([self._mass[index] for index in sorted(self._mass)])
        shares = mass / mass.sum(dim=1, keepdim=True)
        even = torch.stack(self._even).sum(dim=0)
        return {
            "cameras": list(names),
            "share": shares.mean(dim=0).tolist(),
            "even": (even / even.sum()).tolist(),
            "by_layer": shares.tolist(),
            "one_by_one": self.one_by_one,
            "patches_read": sum(self._spread) / len(self._spread),
            "patches_in_reach": sum(self._reach) / len(self._reach),
        }

    def _note_views(self, _: nn.Module, args: tuple) -> None:
        self._views = (args[0].shape[0], args[0].shape[1])

    def _hook(self, index: int) -> Any:
        def watch(module: nn.Module, args: tuple, kwargs: dict, _: Any) -> None:
            names = ("hidden_states", "attention_mask", "encoder_hidden_states", "encoder_attention_mask")
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            with torch.no_grad():
                self._take(index, module, given)

        return watch

    def _take(self, index: int, module: Any, given: dict[str, Tensor]) -> None:
        mask = given.get("encoder_attention_mask")
        heads = (module.num_attention_heads, -1)
        query, key = (
            cast(Tensor, project(given[name])).unflatten(-1, heads).transpose(1, 2)
            for project, name in ((module.query, "hidden_states"), (module.key, "encoder_hidden_states"))
        )
        weights = attention_weights(query, key, float(module.scaling), mask).cpu()
        self.one_by_one = len(weights) != self._views[0]
        allowed = readable(mask, (len(weights), *weights.shape[2:]))
        even = allowed / allowed.sum(dim=-1, keepdim=True)
        self._mass[index] = self._mass.get(index, 0) + self._per_camera(weights.sum(dim=(1, 2)))
        self._even.append(self._per_camera(even.sum(dim=1)))
        self._spread.append(float((-torch.special.xlogy(weights, weights).sum(dim=-1)).exp().mean()))
        self._reach.append(float(allowed.sum(dim=-1).mean()))

    def _per_camera(self, mass: Tensor) -> Tensor:
        """Mass (B, N*P), or (B*N, P) where cameras come one by one, summed to (N,)."""
        batch, cameras = self._views
        return mass.double().reshape(batch, cameras, -1).sum(dim=(0, 2))
