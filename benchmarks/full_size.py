"""All that README calls "not measured", in one call of at most nine minutes on a GPU.

Memory of batch 1, 2 and 4 in bfloat16 and in 4 bits, samples a second and utilisation with 50 and with 1,050
query tokens, the share of time outside the model, and what recomputation, FlexAttention and torch.compile
do to it, beside what tools/plan.py says of each. Random weights, made-up images: neither data nor weights
nor devkit are needed. From the repository's root, on a GPU that nothing else uses::

    python benchmarks/full_size.py --out benchmarks/results/full_size.json
    python benchmarks/full_size.py --only "bf16, 50 queries" --steps 5

What comes too late or fails is said below the table. Utilisation is of --peak-tflops, by default
the rate of a large bfloat16 product, measured first.
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any

import torch
from common import finish, parser, say, show_table
from mmengine.config import Config
from mmengine.logging import MMLogger
from model import GIB, measured, planned, rates

from mapllava.cli.exit_status import exit_status
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve

POINTS = "point_queries"  # the config's variable with a query for every point
WHOLE = {"decoder.gradient_checkpointing": False, "neck.qformer.gradient_checkpointing": False}
FLEX = {"decoder.attention": "flex"}


@dataclass(frozen=True)
class Arm:
    """One thing to measure.

    Args:
        packed: whether the frozen models are in 4 bits.
        queries: the config's variable that holds its map queries; None for those that it has.
        changes: what else of its model differs, by dotted name.
        batches: samples a step.
        compiled: whether ``torch.compile`` takes the pretrained models.
    """

    packed: bool = False
    queries: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    batches: tuple[int, ...] = (4,)
    compiled: bool = False


SIZES = (1, 2, 4)
# what is wanted most goes first
ARMS = {
    "bf16, 50 queries": Arm(batches=SIZES),
    "bf16, 1,050 queries": Arm(queries=POINTS, batches=SIZES),
    "4 bits, 50 queries": Arm(packed=True, batches=SIZES),
    "4 bits, 1,050 queries": Arm(packed=True, queries=POINTS, batches=SIZES),
    "no recomputation, 50 queries": Arm(changes=WHOLE),
    "no recomputation, 1,050 queries": Arm(queries=POINTS, changes=WHOLE),
    "FlexAttention, 1,050 queries": Arm(queries=POINTS, changes=FLEX),
    "compiled, 50 queries": Arm(compiled=True),
    "compiled, 1,050 queries": Arm(queries=POINTS, compiled=True),
}


def parse_args() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    add = made.add_argument
    here = "cuda" if torch.cuda.is_available() else "cpu"
    add("--config", type=Path, default=Path("configs/stage2/trainval.py"), help="in bfloat16")
    add("--packed", type=Path, default=Path("configs/stage2/trainval_4bit.py"), help="in 4 bits")
    add("--only", nargs="+", metavar="ARM", choices=list(ARMS), default=list(ARMS), help="these alone")
    add("--steps", type=int, default=6, help="that are timed (default: %(default)s)")
    add("--warmup", type=int, default=2, help="steps before them (default: %(default)s)")
    add("--elements", type=int, default=20, help="map elements of a sample (default: %(default)s)")
    add(
        "--limit", type=float, default=520.0, help="seconds after which nothing begins (default: %(default)s)"
    )
    add("--peak-tflops", type=float, help="the card's rate (default: measured)")
    add("--device", choices=["cpu", "cuda"], default=here, help="default: cuda if there is one")
    add("--plans", type=int, default=4, help="processes that plan meanwhile (default: %(default)s)")
    return made.parse_args()


def config_of(arm: Arm, args: argparse.Namespace) -> Config:
    """The arm's config, resolved."""
    cfg = load_config(str(args.packed if arm.packed else args.config), {}, [])
    if arm.queries is not None:
        cfg.model.map_queries = cfg[arm.queries]
    cfg.merge_from_dict({f"model.{name}": value for name, value in arm.changes.items()})
    return resolve(cfg)


def plan(arm: Arm, args: argparse.Namespace) -> list[dict[str, Any]]:
    """In a process of its own: what the arm should cost."""
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    torch.set_num_threads(1)
    changes = {name: value for name, value in arm.changes.items() if name not in FLEX}  # planned as SDPA
    arm = replace(arm, changes=changes)
    return planned(config_of(arm, args), arm.batches, args.device != "cpu")


def main() -> None:
    """Measure, compare with the plans, print, and perhaps write."""
    args, began = parse_args(), time.monotonic()
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    torch.manual_seed(0)
    peak = args.peak_tflops or card_rate(args.device)
    found: dict[str, dict[str, Any]] = {}
    with multiprocessing.get_context("spawn").Pool(args.plans) as pool:  # leaving ends what is not done
        plans = {name: pool.apply_async(plan, (ARMS[name], args)) for name in args.only}
        for name in args.only:
            left = args.limit - (time.monotonic() - began)
            found[name] = run(ARMS[name], args) if left > 0 else {"failed": "not measured: time was up"}
            say(f"{time.monotonic() - began:.0f} s: {name}: {found[name].get('failed', 'measured')}")
        for name, planning in plans.items():
            add_plan(found[name], planning, max(1.0, args.limit + 20 - (time.monotonic() - began)), peak)
    show(found, peak)
    gpu = {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda} if args.device == "cuda" else {}
    result = {"device": args.device, **gpu, "peak_tflops": peak, "steps": args.steps, "arms": found}
    finish(args.out, result, "torch", "transformers", "bitsandbytes")


def run(arm: Arm, args: argparse.Namespace) -> dict[str, Any]:
    """An arm's rows, and what ended it early."""
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(measured(config_of(arm, args), arm.batches, args, arm.compiled))
    except Exception as error:  # the other arms are still worth their time
        return {"rows": rows, "failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    finally:
        gc.collect()
        if args.device == "cuda":
            torch.cuda.empty_cache()
            torch.compiler.reset()
    return {"rows": rows}


def add_plan(found: dict[str, Any], planning: AsyncResult, patience: float, peak: float) -> None:
    """Put what was planned, and what follows from it, beside what was measured."""
    try:
        plans = {row["batch"]: row for row in planning.get(patience)}
    except multiprocessing.TimeoutError:
        found["plan"] = "none: it took too long, or its process died"
        return
    except Exception as error:  # what was measured is worth keeping
        found["plan"] = f"none: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return
    found["rows"] = [rates({**plans[row["batch"]], **row}, peak) for row in found.get("rows", [])]


def card_rate(device: str, side: int = 8192) -> float:
    """TFLOP/s of a large product of bfloat16 matrices (float32 on a CPU, and a small one)."""
    gpu = device == "cuda"
    side = side if gpu else 512
    one = torch.randn(side, side, device=device, dtype=torch.bfloat16 if gpu else torch.float32)
    best = float("inf")
    for _ in range(5):
        wait(device)
        start = time.perf_counter()
        for _ in range(10):
            one @ one
        wait(device)
        best = min(best, (time.perf_counter() - start) / 10)
    return 2 * side**3 / best / 1e12


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def show(found: dict[str, dict[str, Any]], peak: float) -> None:
    """One line an arm and batch, as README's and performance.md's rows have them."""
    body = []
    for name, arm in found.items():
        for row in arm.get("rows", []):
            if "out_of_memory" in row:
                body.append([name, row["batch"], "out of memory", "", "", "", ""])
                continue
            planned_gib = f"{row['estimated_bytes'] / GIB:.1f}" if "estimated_bytes" in row else "?"
            used = f"{row['utilisation']:.0%}" if "utilisation" in row else "?"
            body.append([
                name, row["batch"], f"{row['peak_bytes'] / GIB:.1f}", planned_gib,
                f"{row['samples_per_second']:.2f}", used, f"{row['share_outside_model']:.0%}",
            ])  # fmt: skip
    columns = ["arm", "batch", "GiB", "planned", "samples/s", "used", "outside"]
    show_table(f"Full size; used: of {peak:.3g} TFLOP/s; outside: time outside the model", columns, body)
    for name, arm in found.items():
        if "failed" in arm:
            say(f"{name}: {arm['failed']}")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
