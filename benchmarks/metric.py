"""Milliseconds per sample of the score, beside a naive reference and on a set of nuScenes val's size.

One process, one thread, CPU time. The maps are made up: 9.3 ground-truth lines and 50 predictions a
sample, half of which are ground truth shifted and bent by up to some metres as a detector does it.
The reference (``naive_metric.py``) loops over pairs; both must give the same AP within 1e-6, else the
run fails. Run it from the repository's root::

    python benchmarks/metric.py
    python benchmarks/metric.py --naive-samples 10 --val-samples 0 --out metric.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import write_result
from naive_metric import naive_average_precision

from mapllava.evaluation.functional import chamfer_average_precision
from mapllava.geometry import resample_many

CLASSES = ("divider", "ped_crossing", "boundary")
GROUND_TRUTH_LINES = 9.3
PREDICTIONS = 50
PEERS_MS = 162.0
"""What MapTR's evaluator takes per sample of this kind on a machine like ours."""


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
        result["val_sized"] = {
            "samples": args.val_samples,
            "cpu_seconds": cpu,
            "wall_seconds": time.perf_counter() - start,
        }
    return result


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=256, help="samples scored (default: 256)")
    parser.add_argument("--rounds", type=int, default=5, help="runs, the median counts (default: 5)")
    parser.add_argument("--naive-samples", type=int, default=20, help="of them for the reference")
    parser.add_argument("--val-samples", type=int, default=6019, help="size of the large set; 0 skips it")
    parser.add_argument("--out", default="benchmarks/results/metric.json", help="result file")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write the result."""
    args = parse()
    result = measure(args)
    write_result(args.out, result, "numpy", "shapely")
    times = result["ms_per_sample"]
    rows = {
        "chamfer_average_precision": times["score"],
        "naive reference": times["naive"],
        "MapTR's": PEERS_MS,
    }
    print(f"{'':28s}{'ms per sample':>14s}{'times ours':>12s}")
    for name, value in rows.items():
        print(f"{name:28s}{value:14.2f}{value / times['score']:12.1f}")
    if whole := result.get("val_sized"):
        print(f"{whole['samples']} samples: {whole['cpu_seconds']:.1f} s CPU, {whole['wall_seconds']:.1f} s")
    print(f"AP differs by {result['largest_difference_of_ap']:.1e} at most; written to {args.out}")


if __name__ == "__main__":
    main()
