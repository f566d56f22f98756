"""Does the gradient of a layer's loss grow with the depth of refinement?

Shapes: L layers (the decoder's own prediction and one per refinement layer), B batch, I instances, P points,
D decoder channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.structures.map_data_sample import MapDataSample

GROWS = 2.0
"""Factor per layer from which the gradient is said to grow with depth."""


def losses_by_layer(losses: Mapping[str, Tensor], count: int) -> list[Tensor]:
    """Sum a head's losses per layer: ``d0.``, ``d1.`` … in front of a name, the last's without.

    Args:
        losses: By name, each a scalar.
        count: L.

    Returns:
        L scalars.

    Raises:
        ValueError: If a layer has no loss.
    """
    prefixes = [f"d{index}." for index in range(count - 1)]
    out = []
    for prefix in [*prefixes, ""]:
        own = [
            value
            for name, value in losses.items()
            if (name.startswith(prefix) if prefix else not name.startswith(tuple(prefixes)))
        ]
        if not own:
            raise ValueError(f"the head's losses {sorted(losses)} have none of layer '{prefix or 'last'}'")
        out.append(torch.stack(own).sum())
    return out


class GradientByDepth:
    """Gathers, per layer, the norm of the gradient of its loss on what the head starts from.

    * on ``queries``: the decoded queries that all layers share. With every layer in between this gradient
      passes one layer more; where references are not detached it can double with each.
    * on ``points``: the layer's own points in [0, 1].
    * on ``references``: the head's learned reference points, if it has a parameter of that name.
      With detached references only the first layer moves them; the others give 0.

    Args:
        head: A head with ``forward(instances, points, bev)`` and ``loss(logits, points, samples, bev)``.
    """

    def __init__(self, head: nn.Module) -> None:
        self.head: Any = head
        references = getattr(head, "references", None)
        self.references = references if isinstance(references, nn.Parameter) else None
        self._rows: list[list[list[float]]] = []

    def update(
        self, instances: Tensor, points: Tensor | None, bev: Tensor | None, samples: Sequence[MapDataSample]
    ) -> None:
        """Take in a batch; gradients of parameters (``.grad``) stay as they are.

        Args:
            instances: (B, I, D) decoded instance queries.
            points: (B, I, P, D) decoded point queries, or None.
            bev: (B, C, Y, X) or None.
            samples: With ``gt_instances``.
        """
        with torch.enable_grad():
            queries = [part.detach().requires_grad_() for part in (instances, points) if part is not None]
            known = self.references
            learned = [] if known is None or not known.requires_grad else [known]
            decoded = (queries[0], queries[1] if points is not None else None)
            bev = None if bev is None else bev.detach()
            logits, predicted = self.head(*decoded, bev)
            losses = losses_by_layer(self.head.loss(logits, predicted, samples, bev), len(predicted))
            rows = []
            for loss in losses:
                wanted = [predicted, *queries, *learned]
                grads = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
                split = 1 + len(queries)
                parts = (grads[:1], grads[1:split], grads[split:])
                rows.append([float(loss.detach()), *(_norm(part) for part in parts)])
        self._rows.append(rows)

    def result(self) -> dict[str, Any]:
        """Means over the batches.

        Returns:
            Per layer, lists of L: ``loss``, ``on_points``, ``on_queries`` and ``on_references``
            (None without learned references); ``growth``, factor of ``on_queries`` per layer from
            the first to the last (None for one layer or a zero), and ``grows``: whether that is
            :data:`GROWS` or more.
        """
        table = torch.tensor(self._rows, dtype=torch.float64).mean(dim=0)
        loss, on_points, on_queries, on_references = table.T.tolist()
        steps = len(loss) - 1
        known = steps > 0 and on_queries[0] > 0
        growth = (on_queries[-1] / on_queries[0]) ** (1 / steps) if known else None
        return {
            "loss": loss,
            "on_points": on_points,
            "on_queries": on_queries,
            "on_references": None if self.references is None else on_references,
            "growth": growth,
            "grows": growth is not None and growth >= GROWS,
        }


def _norm(gradients: Sequence[Tensor | None]) -> float:
    return float(sum(g.double().square().sum() for g in gradients if g is not None) ** 0.5)
