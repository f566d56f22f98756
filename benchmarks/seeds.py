"""Configs compared over seeds under one budget: mean mAP with its 95 % interval, and paired differences.

Every run is a process of its own (`tools/train.py`), so that runs of one seed differ in nothing but the
config; runs that are finished already are read, not repeated. Run it from the repository's root::

    python benchmarks/seeds.py configs/stage2/synthetic.py configs/stage2/synthetic_no_llm.py --seeds 5
    python benchmarks/seeds.py CONFIG OTHER --epochs 1 --jobs 2 --out benchmarks/results/seeds.json
    python benchmarks/seeds.py CONFIG --seeds 1 --arm "no skip" model.neck.tokens.skip=False  # an ablation

Intervals are Student's t over seeds; a difference is taken seed by seed against the first config.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from common import finish, parser, show_table
from rich.console import Console
from rich.progress import Progress
from scipy.stats import t as student

from mapllava.cli.exit_status import exit_status
from mapllava.errors import MapLLaVAError


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Args:
        name: What the table calls it.
        config: What it trains.
        options: ``--cfg-options`` that make it another than its config.
    """

    name: str
    config: Path
    options: tuple[str, ...] = ()

    def folder(self, common: list[str]) -> str:
        """What its runs are called, under options that all rows have in common."""
        told = repr([str(self.config.resolve()), *common, *self.options])
        return f"{self.config.stem}_{hashlib.sha256(told.encode()).hexdigest()[:10]}"


def parse_args() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("configs", nargs="+", type=Path, help="the first is what the others are compared with")
    made.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, … (default 5)")
    made.add_argument("--epochs", type=int, default=1, help="epochs of every run (default 1)")
    made.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    made.add_argument("--threads", type=int, default=1, help="threads of a run (default 1)")
    made.add_argument("--work-dir", type=Path, default=Path("outputs/seeds"), help="where the runs go")
    made.add_argument("--cfg-options", nargs="+", default=[], help="handed on to every run")
    made.add_argument(
        "--arm",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "KEY=VALUE"),
        help="one row more: the first config with these options; may be repeated",
    )
    return made.parse_args()


def arms_of(args: argparse.Namespace) -> list[Arm]:
    """The rows of the table.

    Raises:
        MapLLaVAError: If an arm has no options, and so would be the first config again, or a name stands
            twice.
    """
    arms = [Arm(config.stem, config) for config in args.configs]
    arms += [Arm(name, args.configs[0], tuple(options)) for name, *options in args.arm]
    bare = [name for name, *options in args.arm if not options]
    if bare:
        raise MapLLaVAError(f"--arm '{bare[0]}' has no KEY=VALUE: it would be {args.configs[0]} again")
    names, folders = [arm.name for arm in arms], [arm.folder([]) for arm in arms]
    for arm in arms:
        if names.count(arm.name) > 1:
            raise MapLLaVAError(f"'{arm.name}' names two rows: rename one, the arm or the config's file")
        if folders.count(arm.folder([])) > 1:
            raise MapLLaVAError(f"'{arm.name}' trains what another row trains: leave one of them out")
    return arms


def score(folder: Path) -> dict[str, float] | None:
    """Validation metrics of a finished run, None of any other."""
    path = folder / "metrics.json"
    if not (folder / "final_model.pth").is_file() or not path.is_file():
        return None
    return next(entry for entry in reversed(json.loads(path.read_text())) if entry["stage"] == "val")[
        "metrics"
    ]


def train(arm: Arm, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Metrics of one run, which is made if it is not there."""
    folder = args.work_dir / f"{arm.folder(args.cfg_options)}_{args.epochs}e_seed{seed}"
    if (found := score(folder)) is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"randomness.seed={seed}",
        f"train_cfg.max_epochs={args.epochs}",
        f"train_cfg.val_interval={args.epochs}",
        *args.cfg_options,
        *arm.options,
    ]
    command = [sys.executable, "tools/train.py", str(arm.config), "--work-dir", str(folder), "--cfg-options"]
    threads = {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    with (folder / "stdout.txt").open("w") as log:
        done = subprocess.run(
            [*command, *options], stdout=log, stderr=log, env={**os.environ, **threads}, check=False
        )
    found = score(folder)
    if done.returncode or found is None:
        raise MapLLaVAError(
            f"{arm.name} with seed {seed} ended with status {done.returncode}: see {log.name}"
        )
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Mean of some values and half the width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return values[0], float("nan")
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values), float(half)


def main() -> None:
    """Run, compare, print, and perhaps write."""
    args = parse_args()
    arms = arms_of(args)
    pairs = list(product(range(args.seeds), arms))  # seed by seed, so that an early stop is still fair
    with Progress(console=Console(stderr=True)) as progress, ThreadPoolExecutor(args.jobs) as pool:
        task = progress.add_task("runs", total=len(pairs))
        futures = {pair: pool.submit(train, pair[1], pair[0], args) for pair in pairs}
        for future in futures.values():
            future.add_done_callback(lambda _: progress.advance(task))
        runs = {pair: future.result() for pair, future in futures.items()}
    name = next(key for key in next(iter(runs.values())) if key.endswith("mAP"))
    scores = {arm: [100 * runs[seed, arm][name] for seed in range(args.seeds)] for arm in arms}
    rows, result = [], {}
    for arm, values in scores.items():
        mean, half = interval(values)
        gap, gap_half = interval([v - w for v, w in zip(values, scores[arms[0]], strict=True)])
        shown = "" if arm == arms[0] else show(gap, gap_half, "+")
        rows.append([arm.name, " ".join(f"{v:.1f}" for v in values), show(mean, half), shown])
        result[arm.name] = {
            "options": list(arm.options),
            "mAP": [round(v, 2) for v in values],
            "mean": round(mean, 2),
            "half_width_95": rounded(half),
            "difference_to_first": round(gap, 2),
            "difference_half_width_95": rounded(gap_half),
        }
    columns = ["config", "per seed", "mean ± 95 %", "difference to the first ± 95 %"]
    show_table(f"Held-out mAP after {args.epochs} epochs", columns, rows)
    finish(args.out, {"epochs": args.epochs, "configs": result}, "torch", "transformers")


def show(mean: float, half: float, sign: str = "") -> str:
    """A mean with its interval, which one seed has not."""
    return f"{mean:{sign}.1f}" if math.isnan(half) else f"{mean:{sign}.1f} ± {half:.1f}"


def rounded(half: float) -> float | None:
    """As JSON has it: None where there is no interval."""
    return None if math.isnan(half) else round(half, 2)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
