"""One-to-one matching of a batch, all layers at once.

Shapes: L layers, B batch, I predictions, M matched pairs of all layers and samples.
Source: the set prediction of DETR; costs as in MapTR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mapllava.errors import MapLLaVAError
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

    Raises:
        MapLLaVAError: if there is no cost.
    """

    def __init__(self, costs: Sequence[dict]) -> None:
        if not costs:
            raise MapLLaVAError("model.head.criterion.assigner.costs is empty: nothing would be matched")
        self.costs = [TASK_UTILS.build(cost) for cost in costs]

    @torch.no_grad()
    def __call__(self, logits: Tensor, points: Tensor, targets: MapTargets) -> Assignment:
        """Match every layer's predictions to the elements; a sample that is not finite is matched to nothing.

        Args:
            logits: (L, B, I, n_classes) class logits.
            points: (L, B, I, P, 2) in [0, 1].
            targets: the batch's ground truth.

        Raises:
            MapLLaVAError: if a cost is of another shape, or not finite though predictions and elements are.
        """
        shape = (*logits.shape[:3], targets.labels.shape[1])
        total = torch.zeros((), device=logits.device)
        for cost in self.costs:
            value = cost(logits.float(), points.float(), targets)
            if not isinstance(value, Tensor) or value.shape != shape:
                gave = f"{tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise MapLLaVAError(f"{type(cost).__name__} gave {gave}; expected a tensor {shape}")
            total = total + value
        matrix = total.cpu().numpy()  # the only transfer to the host
        finite = np.isfinite(matrix).all((2, 3))
        if not finite.all() and all(bool(x.isfinite().all()) for x in (logits, points, targets.orders)):
            names = ", ".join(type(cost).__name__ for cost in self.costs)
            raise MapLLaVAError(
                f"the sum of the matching costs ({names}) is not finite, though predictions and elements "
                "are: see model.head.criterion.assigner.costs"
            )
        parts: list[tuple[int, int, Tensor, Tensor]] = []
        for layer in range(matrix.shape[0]):
            for sample, count in enumerate(targets.counts):
                count = count if finite[layer, sample] else 0
                rows, cols = linear_sum_assignment(matrix[layer, sample, :, :count])
                parts.append((layer, sample, torch.from_numpy(rows), torch.from_numpy(cols)))
        layers = torch.cat([torch.full_like(rows, layer) for layer, _, rows, _ in parts])
        samples = torch.cat([torch.full_like(rows, sample) for _, sample, rows, _ in parts])
        rows = torch.cat([rows for _, _, rows, _ in parts])
        cols = torch.cat([cols for _, _, _, cols in parts])
        # One (4, M) tensor, so that one copy brings all indices to the device
        packed = torch.stack([layers, samples, rows, cols]).to(logits.device, non_blocking=True)
        return Assignment(*packed.unbind(0))
