"""One-to-one matching of a batch, all decoder layers at once.

Shapes: L decoder layers, B batch, I predictions, M matched pairs of all layers and samples.
Source: the set prediction of DETR; costs as in MapTR; one-to-many matching of all layers but the
last after the mixed supervision of MS-DETR (arXiv:2401.03989).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mapllava.models.task_modules.targets import MapTargets
from mapllava.registry import TASK_UTILS


class Assignment(NamedTuple):
    """Matched pairs, each an index tensor of length M: layer, sample, prediction, element."""

    layer: Tensor
    sample: Tensor
    prediction: Tensor
    element: Tensor


@TASK_UTILS.register_module()
class HungarianMapAssigner:
    """Minimum-cost matching under a sum of registered costs.

    Args:
        costs: configs of the costs, each a callable ``(logits, points, targets) -> (L, B, I, G)``.
        early_repeats: predictions matched to each element in every layer but the last, which is
            always one-to-one. More of them teach more queries where lines are; the last layer
            learns to keep one.

    Raises:
        ValueError: if ``early_repeats`` is below 1.
    """

    def __init__(self, costs: Sequence[dict], early_repeats: int = 1) -> None:
        if early_repeats < 1:
            raise ValueError(f"early_repeats is {early_repeats}: each element needs at least one prediction")
        self.costs = [TASK_UTILS.build(cost) for cost in costs]
        self.early_repeats = early_repeats

    @torch.no_grad()
    def __call__(self, logits: Tensor, points: Tensor, targets: MapTargets) -> Assignment:
        """Match every layer's predictions to the elements.

        Args:
            logits: (L, B, I, n_classes) class logits.
            points: (L, B, I, P, 2) in [0, 1].
            targets: the batch's ground truth.

        Raises:
            ValueError: if a cost is not finite (the predictions have diverged).
        """
        total = sum(cost(logits.float(), points.float(), targets) for cost in self.costs)
        cost = total.cpu()  # the only transfer to the host
        if not bool(torch.isfinite(cost).all()):
            raise ValueError("matching cost is not finite: the predictions hold NaN or infinity")
        matrix = cost.numpy()
        parts: list[tuple[int, int, Tensor, Tensor]] = []
        for layer in range(matrix.shape[0]):
            repeats = 1 if layer == matrix.shape[0] - 1 else self.early_repeats
            for sample, count in enumerate(targets.counts):
                rows, cols = linear_sum_assignment(np.tile(matrix[layer, sample, :, :count], (1, repeats)))
                parts.append((layer, sample, torch.from_numpy(rows), torch.from_numpy(cols % max(count, 1))))
        layers = torch.cat([torch.full_like(rows, layer) for layer, _, rows, _ in parts])
        samples = torch.cat([torch.full_like(rows, sample) for _, sample, rows, _ in parts])
        rows = torch.cat([rows for _, _, rows, _ in parts])
        cols = torch.cat([cols for _, _, _, cols in parts])
        packed = torch.stack([layers, samples, rows, cols]).to(logits.device, non_blocking=True)
        return Assignment(*packed.unbind(0))
