"""Costs of matching a predicted element to a true one; a new cost is a new class.

Shapes: L decoder layers, B batch, I predictions, G elements (padded), O orders, P points.
Source: the costs of MapTR (focal class cost, ordered L1 over equivalent orders).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mapllava.models.losses.settings import check_numbers
from mapllava.models.task_modules.targets import MapTargets
from mapllava.registry import TASK_UTILS


@TASK_UTILS.register_module()
class FocalClassCost:
    """Difference of the focal loss as a positive and as a negative of the true class.

    Args:
        weight: factor of the cost.
        alpha: weight of positives in the focal loss.
        gamma: focusing exponent.
    """

    def __init__(self, weight: float = 2.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        check_numbers(self, weight=weight, gamma=gamma)
        check_numbers(self, 1.0, alpha=alpha)
        self.weight, self.alpha, self.gamma = weight, alpha, gamma

    def __call__(self, logits: Tensor, points: Tensor, targets: MapTargets) -> Tensor:
        """Cost (L, B, I, G) of class logits (L, B, I, n_classes)."""
        probability = logits.sigmoid()
        log_p, log_not = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
        negative = -log_not * (1 - self.alpha) * probability**self.gamma
        positive = -log_p * self.alpha * (1 - probability) ** self.gamma
        # The cost of every class (L, B, I, n_classes), of which each element's own is taken, (L, B, I, G)
        index = targets.labels[None, :, None, :].expand(*logits.shape[:-1], -1)
        return (positive - negative).gather(-1, index) * self.weight


@TASK_UTILS.register_module()
class OrderedPointsL1Cost:
    """L1 distance of normalised points, summed over the points, of the best equivalent order.

    Args:
        weight: factor of the cost.
    """

    def __init__(self, weight: float = 5.0) -> None:
        check_numbers(self, weight=weight)
        self.weight = weight

    def __call__(self, logits: Tensor, points: Tensor, targets: MapTargets) -> Tensor:
        """Cost (L, B, I, G) of points (L, B, I, P, 2) in [0, 1]."""
        layers, batch, instances = points.shape[:3]
        orders = targets.orders
        # cdist over all layers at once: (B, L*I, P*2) against (B, G*O, P*2), then the best of the O orders
        predicted = points.flatten(3).transpose(0, 1).reshape(batch, layers * instances, -1)
        distance = torch.cdist(predicted, orders.flatten(1, 2).flatten(2), p=1.0)
        best = distance.view(batch, layers, instances, orders.shape[1], orders.shape[2]).amin(-1)
        return best.transpose(0, 1) * self.weight
