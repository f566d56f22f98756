"""Matching and losses of a batch: all layers, samples and orders in one call, beside a loop over them.

Both ways start from the same predictions and end in the same assignments and losses, which is checked;
they take turns in one process. Run it from the repository's root::

    python benchmarks/matching.py                       # batch 4, 6 layers, 50 queries, 20 elements
    python benchmarks/matching.py --batch 1 --rounds 1      # quicker
    python benchmarks/matching.py --device cuda --batch 16 --out matching.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from common import finish, parser, say, show_table
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from mapllava.cli.exit_status import exit_status
from mapllava.geometry import order_table
from mapllava.models.losses.map_losses import PointsL1Loss
from mapllava.models.task_modules import HungarianMapAssigner, MapTargets

CLASS_WEIGHT, POINT_WEIGHT, ALPHA, GAMMA = 2.0, 5.0, 0.25, 2.0
COSTS = [
    {"type": "FocalClassCost", "weight": CLASS_WEIGHT},
    {"type": "OrderedPointsL1Cost", "weight": POINT_WEIGHT},
]


def make(args: argparse.Namespace) -> tuple[Tensor, Tensor, MapTargets]:
    """Random predictions (L, B, I, 3), (L, B, I, P, 2) and targets of the wanted size; half are rings."""
    generator = torch.Generator().manual_seed(args.seed)
    shape = (args.layers, args.batch, args.queries)
    logits = torch.randn(*shape, 3, generator=generator)
    points = torch.rand(*shape, args.points, 2, generator=generator)
    table = torch.from_numpy(order_table(args.points).copy())
    lines = torch.rand(args.batch, args.elements, args.points, 2, generator=generator)
    closed = torch.arange(args.elements) % 2 == 1
    lines[:, closed, -1] = lines[:, closed, 0]
    orders = torch.stack([lines[:, k][:, table[int(closed[k])]] for k in range(args.elements)], dim=1)
    labels = torch.randint(0, 3, (args.batch, args.elements), generator=generator)
    targets = MapTargets(labels.to(args.device), orders.to(args.device), [args.elements] * args.batch)
    return logits.to(args.device), points.to(args.device).requires_grad_(), targets


def ours(logits: Tensor, points: Tensor, targets: MapTargets) -> tuple[set, Tensor]:
    """Assignment and point loss in one call each."""
    pairs = HungarianMapAssigner(COSTS)(logits, points, targets)
    matched = points[pairs.layer, pairs.sample, pairs.prediction]
    orders = targets.orders[pairs.sample, pairs.element]
    best = (orders - matched.detach().unsqueeze(1)).abs().sum((2, 3)).argmin(1)
    target = orders[torch.arange(len(best), device=best.device), best]
    loss = PointsL1Loss(POINT_WEIGHT)(matched, target).sum()
    return set(zip(*(part.tolist() for part in pairs), strict=True)), loss


def loop(logits: Tensor, points: Tensor, targets: MapTargets) -> tuple[set, Tensor]:
    """The same, layer by layer, sample by sample, element by element and order by order."""
    found, loss = set(), points.new_zeros(())
    for layer in range(len(logits)):
        for sample, count in enumerate(targets.counts):
            cost, best = _costs(logits[layer, sample], points[layer, sample].detach(), targets, sample, count)
            rows, cols = linear_sum_assignment(cost.cpu().numpy())
            for row, col in zip(rows.tolist(), cols.tolist(), strict=True):
                target = targets.orders[sample, col, best[row, col]]
                loss = loss + POINT_WEIGHT * (points[layer, sample, row] - target).abs().sum()
                found.add((layer, sample, row, col))
    return found, loss


def _costs(
    logits: Tensor, points: Tensor, targets: MapTargets, sample: int, count: int
) -> tuple[Tensor, Tensor]:
    """Costs (I, G) of one sample and layer, and the order that gives each."""
    cost = logits.new_zeros(len(logits), count)
    best = torch.zeros(len(logits), count, dtype=torch.long, device=logits.device)
    for element in range(count):
        score = logits[:, targets.labels[sample, element]]
        p = score.sigmoid()
        positive = -F.logsigmoid(score) * ALPHA * (1 - p) ** GAMMA
        negative = -F.logsigmoid(-score) * (1 - ALPHA) * p**GAMMA
        nearest = torch.full((len(logits),), float("inf"), device=logits.device)
        for order in range(targets.orders.shape[2]):
            distance = (points - targets.orders[sample, element, order]).abs().sum((1, 2))
            closer = distance < nearest
            best[closer, element] = order
            nearest = torch.minimum(nearest, distance)
        cost[:, element] = CLASS_WEIGHT * (positive - negative) + POINT_WEIGHT * nearest
    return cost, best


def seconds(run: Callable[[], Any], device: str) -> float:
    """Wall-clock seconds of one call, with everything that it started on the device."""
    start = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Check that both ways agree, then time them in turns."""
    logits, points, targets = make(args)
    (pairs, loss), (pairs_loop, loss_loop) = ours(logits, points, targets), loop(logits, points, targets)
    torch.testing.assert_close(loss, loss_loop, rtol=1e-4, atol=1e-3)
    if pairs != pairs_loop:
        raise RuntimeError(f"the two ways differ in {len(pairs ^ pairs_loop)} pairs")
    times: dict[str, list[float]] = {"ours": [], "loop": []}
    for _ in range(args.rounds):
        for name, way in (("ours", ours), ("loop", loop)):
            step = lambda way=way: way(logits, points, targets)[1].backward()  # noqa: E731
            times[name].append(seconds(step, args.device))
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return {"pairs": len(pairs), "ms": medians, "times_faster": medians["loop"] / medians["ours"]}


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    sizes, ms = result["sizes"], result["ms"]
    what = ", ".join(f"{name} {sizes[name]}" for name in ("batch", "layers", "queries", "elements", "points"))
    rows = [[name, f"{value:.1f}", f"{value / ms['ours']:.1f}"] for name, value in ms.items()]
    show_table(f"Matching and point loss on {sizes['device']}: {what}", ["", "ms", "times ours"], rows)
    say(f"same {result['pairs']} pairs")


def parse() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    sizes = {"batch": 4, "layers": 6, "queries": 50, "elements": 20, "points": 20, "rounds": 5, "seed": 0}
    for name, value in sizes.items():
        made.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    made.add_argument("--threads", type=int, help="PyTorch's threads on a CPU; its own choice by default")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    return made.parse_args()


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    result = {"sizes": vars(args), **measure(args)}
    show(result)
    finish(args.out, result, "torch", "scipy")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
