"""Layers that hold their weight in a format of their own, and how to count what is in them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class PackedLayer(Protocol):
    """A linear layer whose weight is packed, such as a quantised one.

    Attributes:
        in_features: inputs I.
        out_features: outputs O.
        weight: the packed weight, or (O, I) on the meta device.
    """

    in_features: int
    out_features: int
    weight: Tensor

    def take_weight(self, weight: Tensor) -> None:
        """Pack a float weight (O, I)."""


def packed_layers(module: nn.Module) -> list[PackedLayer]:
    """All packed layers below a module, itself included."""
    return [child for child in module.modules() if isinstance(child, PackedLayer)]


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Parameters (total, trainable), a packed weight counted by its values, not by its bytes."""
    packed = {id(layer.weight): layer.in_features * layer.out_features for layer in packed_layers(module)}
    total = sum(packed.get(id(parameter), parameter.numel()) for parameter in module.parameters())
    return total, sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
