"""Position embeddings of a frozen vision transformer, interpolated once per size of image."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor


class KeptPositionEmbeddings:
    """Stands in for ``interpolate_pos_encoding`` of a transformers vision transformer.

    The same bicubic interpolation, but what it gives for a size is kept as long as the weight stays
    what it was; a weight that is being trained is interpolated every time.

    Args:
        embeddings: the embedding layer; its own ``interpolate_pos_encoding`` does the work.
    """

    def __init__(self, embeddings: Any) -> None:
        self.embeddings = embeddings
        self._kept: dict[tuple[int, int], tuple[Tensor, tuple[Any, ...], Tensor]] = {}
        self._told: set[tuple[int, int]] = set()

    @property
    def weight(self) -> Tensor:
        """Position embeddings as trained, class token first: (1, 1 + P, C), or (1 + P, C) of an embedding."""
        position = self.embeddings.position_embedding
        return position if isinstance(position, Tensor) else position.weight

    def forget(self) -> None:
        """Interpolate anew from the next call on."""
        self._kept.clear()

    def __call__(self, embeddings: Tensor, height: int, width: int) -> Tensor:
        """Position embeddings (1, 1 + P, C) for images of (height, width) pixels."""
        weight = self.weight
        self._tell(height, width)
        if weight.requires_grad:
            return self._interpolate(embeddings, height, width)
        # A weight may be loaded or moved in place; its version counter, device and dtype tell. Tensors of
        # inference mode have no counter
        state = (0 if weight.is_inference() else weight._version, weight.device, weight.dtype)
        of, before, kept = self._kept.get((height, width), (None, None, None))
        if kept is None or of is not weight or before != state:
            # Not an inference tensor, even if the first call is made in that mode: training may use it later
            with torch.inference_mode(False), torch.no_grad():
                kept = self._interpolate(embeddings, height, width)
            self._kept[height, width] = (weight, state, kept)
        return kept

    def _interpolate(self, embeddings: Tensor, height: int, width: int) -> Tensor:
        own = type(self.embeddings).interpolate_pos_encoding
        return own(self.embeddings, embeddings, height, width)

    def _tell(self, height: int, width: int) -> None:
        if (height, width) in self._told:
            return
        self._told.add((height, width))
        trained = round((self.weight.numel() // self.weight.shape[-1] - 1) ** 0.5)
        patch = self.embeddings.patch_size
        if (height // patch, width // patch) != (trained, trained):
            print_log(
                f"position embeddings interpolated from {trained} x {trained} to {height // patch} x "
                f"{width // patch} patches",
                logger="current",
            )
