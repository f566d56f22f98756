"""Milliseconds per sample of the score, beside a naive reference and on a set of nuScenes val's size.

One process, one thread, CPU time. The maps are made up: 9.3 ground-truth lines and 50 predictions a
sample, half of which are ground truth shifted and bent by up to some metres as a detector does it.
The reference (``naive_metric.py``) loops over pairs; both must give the same AP within 1e-6, else the
run fails. What the score takes on top of the maps in memory is measured at two set sizes. Run it from
the repository's root::

    python benchmarks/metric.py                                         # about a minute
    python benchmarks/metric.py --samples 50 --naive-samples 5 --val-samples 0    # quicker
    python benchmarks/metric.py --out metric.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import MEMORY_COLUMNS, finish, memory_rows, parser, peak_mib, say, show_table
from naive_metric import naive_average_precision

from mapllava.cli.exit_status import exit_status
from mapllava.evaluation.functional import chamfer_average_precision, join, match_maps, score_of
from mapllava.geometry import resample_many

CLASSES = ("divider", "ped_crossing", "boundary")
GROUND_TRUTH_LINES = 9.3
PREDICTIONS = 50
PEERS_MS = 162.0
"""What MapTR's evaluator takes per sample of this kind on a machine like ours."""

MEMORY_OF_MAPS = """
import sys
sys.path.insert(0, sys.argv[1])
from metric import CLASSES, chamfer_average_precision, maps
few = maps(2, seed=0)
chamfer_average_precision(*few, CLASSES)
made = maps(int(sys.argv[2]), seed=1)
"""
MEMORY_OF_SCORE = f"{MEMORY_OF_MAPS}chamfer_average_precision(*made, CLASSES)\n"


def true_line(label: int, rng: np.random.Generator) -> np.ndarray:
    """A map line (n, 2) within 30 x 60 m: a crossing's ring, or a gently bent line along the road."""
    if label == 1:
        length, width = rng.uniform(6, 18), rng.uniform(3, 5)
        ring = np.array([[0, 0], [length, 0], [length, width], [0, width], [0, 0]])
        return ring + rng.uniform((-15, -30), (15 - length, 25))
    low, high = np.sort(rng.uniform(-30, 30, 2)) if rng.random() < 0.6 else (-30.0, 30.0)
    y = np.linspace(low, max(high, low + 3), rng.integers(2, 40))
    x = rng.uniform(-14, 14) + rng.normal() * 0.1 * y + rng.normal() * 0.003 * y**2
    return np.clip(np.column_stack([x, y]), (-15, -30), (15, 30))


def true_map(rng: np.random.Generator) -> dict[str, Any]:
    """The ground truth of one sample."""
    count = max(1, rng.poisson(GROUND_TRUTH_LINES))
    labels = rng.choice(3, count, p=(0.5, 0.2, 0.3))
    return {"points": [true_line(label, rng) for label in labels], "labels": labels}


def predicted_map(truth: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Fifty lines of 20 points: half of them like a detector's, the others anywhere."""
    labels = rng.choice(3, PREDICTIONS, p=(0.5, 0.2, 0.3))
    lines, quality = [], rng.random(PREDICTIONS)
    for k, label in enumerate(labels):
        known = [p for p, c in zip(truth["points"], truth["labels"], strict=True) if c == label]
        if k % 2 and known:
            line = resample_many([known[rng.integers(len(known))]], 20)[0]
            sigma = 2.0 * (1 - quality[k]) ** 2
            lines.append(line + rng.normal(size=2) * sigma + rng.normal(size=(20, 2)) * sigma / 8)
        else:
            lines.append(resample_many([true_line(label, rng)], 20)[0])
            quality[k] *= 0.5
    return {"points": np.stack(lines), "labels": labels, "scores": quality}


def maps(count: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predictions and ground truth of ``count`` samples."""
    rng = np.random.default_rng(seed)
    truth = [true_map(rng) for _ in range(count)]
    return [predicted_map(sample, rng) for sample in truth], truth


def cpu_seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call in this process, and what it returns."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time the score and the reference on the same maps, then the large set."""
    preds, truth = maps(args.samples, seed=0)
    few = (preds[: args.naive_samples], truth[: args.naive_samples])
    naive, reference = cpu_seconds(lambda: naive_average_precision(*few, len(CLASSES)))
    difference = float(np.abs(reference - chamfer_average_precision(*few, CLASSES)["ap"]).max())
    if difference > 1e-6:
        raise RuntimeError(f"the score and its naive reference differ by {difference}")
    runs = [cpu_seconds(lambda: chamfer_average_precision(preds, truth, CLASSES)) for _ in range(args.rounds)]
    ours = 1000 * statistics.median(seconds for seconds, _ in runs) / args.samples
    result = {
        "ground_truth_lines_per_sample": sum(len(t["labels"]) for t in truth) / len(truth),
        "predictions_per_sample": PREDICTIONS,
        "mAP": runs[0][1]["mAP"],
        "largest_difference_of_ap": difference,
        "ms_per_sample": {"score": ours, "naive": 1000 * naive / args.naive_samples},
        "ratio_to_naive": 1000 * naive / args.naive_samples / ours,
        "ratio_to_maptr": PEERS_MS / ours,
    }
    if args.val_samples:
        whole = maps(args.val_samples, seed=1)
        start = time.perf_counter()
        cpu, _ = cpu_seconds(lambda: chamfer_average_precision(*whole, CLASSES))
        wall = time.perf_counter() - start
        each, parts = cpu_seconds(
            lambda: [match_maps([p], [t], CLASSES) for p, t in zip(*whole, strict=True)]
        )
        result["val_sized"] = {
            "samples": args.val_samples,
            "cpu_seconds": cpu,
            "wall_seconds": wall,
            "one_by_one_cpu_seconds": each,
            "join_cpu_seconds": cpu_seconds(lambda: score_of(join(parts)))[0],
        }
    return result


def measure_memory(count: int) -> dict[str, dict[str, float]]:
    """Peak MiB of holding maps, and of holding and scoring them, at ``count`` and four times as many."""
    here = Path(__file__).resolve().parent
    codes = {"holding the maps": MEMORY_OF_MAPS, "and scoring them": MEMORY_OF_SCORE}
    return {
        name: {str(n): peak_mib(code, here, n) for n in (count, 4 * count)} for name, code in codes.items()
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    times = result["ms_per_sample"]
    ways = [("chamfer_average_precision", times["score"]), ("naive reference", times["naive"])]
    ways.append(("MapTR's", PEERS_MS))
    rows = [[name, f"{value:.2f}", f"{value / times['score']:.1f}"] for name, value in ways]
    show_table("Score, one process, processor time", ["", "ms per sample", "times ours"], rows)
    if whole := result.get("val_sized"):
        cpu, wall = whole["cpu_seconds"], whole["wall_seconds"]
        say(f"{whole['samples']:,} samples: {cpu:.1f} s of processor time, {wall:.1f} s wall")
        one, last = whole["one_by_one_cpu_seconds"], whole["join_cpu_seconds"]
        say(f"one by one, as processes do while they evaluate: {one:.1f} s; joined and scored: {last:.2f} s")
    say(f"AP differs from the naive reference's by {result['largest_difference_of_ap']:.1e} at most")
    show_table("Memory, one process", MEMORY_COLUMNS, memory_rows(result["peak_mib"]))


def parse() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--samples", type=int, default=256, help="samples scored (default: %(default)s)")
    made.add_argument("--rounds", type=int, default=5, help="runs; the median counts (default: %(default)s)")
    made.add_argument(
        "--naive-samples", type=int, default=20, help="of them for the reference (default: %(default)s)"
    )
    made.add_argument(
        "--val-samples", type=int, default=6019, help="the large set; 0 skips it (default: %(default)s)"
    )
    return made.parse_args()


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse()
    result = measure(args)
    result["peak_mib"] = measure_memory(args.samples)
    show(result)
    finish(args.out, result, "numpy", "shapely")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
