"""A loss of one's own: a predicted line is as long as the line that it was matched to."""

from __future__ import annotations

from torch import Tensor, nn

from mapllava.registry import MODELS


def _length(points: Tensor) -> Tensor:
    """Lengths (M,) in metres of lines (M, P, 2)."""
    return points.diff(dim=1).norm(dim=-1).sum(1)


@MODELS.register_module()
class LengthLoss(nn.Module):
    """Difference of the lengths of prediction and element, in metres.

    The criterion calls ``forward`` with what its arguments are called: see
    :class:`mapllava.models.heads.criterion.LossInputs` for all that a loss may take.

    Args:
        weight: factor of the loss.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, matched_metres: Tensor, target_metres: Tensor) -> Tensor:
        """Loss (M,) of matched points and targets (M, P, 2) in metres."""
        return self.weight * (_length(matched_metres) - _length(target_metres)).abs()
