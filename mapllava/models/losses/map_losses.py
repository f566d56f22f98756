"""Losses of matched elements, one value per decoder layer.

Shapes: L decoder layers, B batch, I predictions, M matched pairs, P points.
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

    def __init__(self, weight: float = 2.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        check_numbers(self, weight=weight, gamma=gamma)
        check_numbers(self, 1.0, alpha=alpha)
        self.weight, self.alpha, self.gamma = weight, alpha, gamma

    def forward(self, logits: Tensor, target: Tensor, num_positive: Tensor) -> Tensor:
        """Loss (L,) of logits and one-hot targets (L, B, I, n_classes), per positive."""
        wrong = logits * (1 - 2 * target)  # logit of the wrong answer; targets are 0 or 1
        focus = (self.gamma * F.logsigmoid(wrong)).exp()  # a power's slope at 0 is infinite for gamma < 1
        alpha = self.alpha * target + (1 - self.alpha) * (1 - target)
        return self.weight * (alpha * focus * F.softplus(wrong)).sum((1, 2, 3)) / num_positive


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

    def forward(self, points: Tensor, target: Tensor) -> Tensor:
        """Loss (M,) of matched points and targets (M, P, 2)."""
        return self.weight * (points - target).abs().sum((1, 2))


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

    def forward(self, points: Tensor, target: Tensor) -> Tensor:
        """Loss (M,) of points and targets (M, P, 2) in metres (angles need equal axes)."""
        predicted, true = torch.diff(points, dim=1), torch.diff(target, dim=1)
        return self.weight * (1 - F.cosine_similarity(predicted, true, dim=-1, eps=1e-6)).sum(1)
