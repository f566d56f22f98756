"""Losses of a criterion, which divides their sums by the number of positives.

The arguments of a ``forward`` are names of :class:`~mapllava.models.heads.criterion.LossInputs`.

Shapes: L layers, B batch, I predictions, M matched pairs, P points.
Source: the loss terms and weights of MapTR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapllava.models.losses.settings import check_numbers
from mapllava.registry import MODELS


@MODELS.register_module()
class FocalClassLoss(nn.Module):
    """Sigmoid focal loss over all predictions and classes.

    Args:
        weight: factor of the loss.
        alpha: weight of positives.
        gamma: focusing exponent; any from 0, its gradient is finite everywhere.

    Raises:
        MapLLaVAError: If a number is not finite or out of its range.
    """

    per_layer = True

    def __init__(self, weight: float = 2.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        check_numbers(self, weight=weight, gamma=gamma)
        check_numbers(self, 1.0, alpha=alpha)
        self.weight, self.alpha, self.gamma = weight, alpha, gamma

    def forward(self, logits: Tensor, class_targets: Tensor) -> Tensor:
        """Loss (L,) of logits and one-hot targets (L, B, I, n_classes)."""
        wrong = logits * (1 - 2 * class_targets)  # logit of the wrong answer; targets are 0 or 1
        focus = (self.gamma * F.logsigmoid(wrong)).exp()  # a power's slope at 0 is infinite for gamma < 1
        alpha = self.alpha * class_targets + (1 - self.alpha) * (1 - class_targets)
        return self.weight * (alpha * focus * F.softplus(wrong)).sum((1, 2, 3))


@MODELS.register_module()
class PointsL1Loss(nn.Module):
    """L1 distance of matched points in [0, 1], summed over an element's points.

    Args:
        weight: factor of the loss.
    """

    def __init__(self, weight: float = 5.0) -> None:
        super().__init__()
        check_numbers(self, weight=weight)
        self.weight = weight

    def forward(self, matched_points: Tensor, target_points: Tensor) -> Tensor:
        """Loss (M,) of matched points and targets (M, P, 2)."""
        return self.weight * (matched_points - target_points).abs().sum((1, 2))


@MODELS.register_module()
class DirectionCosineLoss(nn.Module):
    """One minus the cosine between predicted and true edges, summed over an element's edges.

    Args:
        weight: factor of the loss.
    """

    def __init__(self, weight: float = 0.005) -> None:
        super().__init__()
        check_numbers(self, weight=weight)
        self.weight = weight

    def forward(self, matched_metres: Tensor, target_metres: Tensor) -> Tensor:
        """Loss (M,) of matched points and targets (M, P, 2) in metres (angles need equal axes)."""
        predicted, true = torch.diff(matched_metres, dim=1), torch.diff(target_metres, dim=1)
        return self.weight * (1 - F.cosine_similarity(predicted, true, dim=-1, eps=1e-6)).sum(1)
