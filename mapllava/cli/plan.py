"""Say what a config needs, and which settings make it fit a GPU."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from rich.console import Console

from mapllava.analysis.cost import PlanOptions, build_meta, choose, make_plans, model_parts
from mapllava.analysis.cost.model_parts import without_quantization
from mapllava.analysis.cost.plan_report import plan_report, plan_values
from mapllava.cli.command_line import add_config, add_config_options, config_of
from mapllava.config.resolve import resolve
from mapllava.errors import MapLLaVAError
from mapllava.files import write_json

DESCRIPTION = """\
Count parameters, memory and arithmetic of a config's training step, and try batch sizes, gradient
checkpointing, 4-bit frozen parts, DDP and (for a full fine-tune on several GPUs) FSDP2 against the
memory of a GPU.

No weights are downloaded and no GPU is needed: the model is built at full size without memory, and
one real step, forward to backward, runs on the shapes alone. Half a minute to two for 7 billion.
"""
EPILOG = """\
examples:
  %(prog)s configs/stage2/trainval.py --gpus 8 --gpu-memory 24
  %(prog)s configs/stage2/trainval.py --batch 1 2 4 8 --gpu-memory 80 --json plan.json
  %(prog)s configs/stage2/trainval.py --gpus 8 --gpu-memory 80 \\
      --cfg-options model.decoder.frozen=False model.decoder.dtype=float32
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add_config(parser)
    add("--gpus", type=int, default=1, metavar="N", help="GPUs that train together (default: 1)")
    add("--gpu-memory", type=float, default=24.0, metavar="GIB", help="of each (default: 24)")
    add("--batch", type=int, nargs="+", default=[1, 2, 4], metavar="B", help="per GPU (default: 1 2 4)")
    add(
        "--total-batch",
        type=int,
        metavar="B",
        help="samples per update of all GPUs; accumulation follows from it (default: the config's "
        "auto_scale_lr.base_batch_size)",
    )
    add_config_options(parser)
    add("--json", type=Path, metavar="OUT", help="write all values to this file")


def options_of(args: argparse.Namespace, cfg: Any) -> PlanOptions:
    """What to try, checked."""
    total = args.total_batch or (cfg.get("auto_scale_lr") or {}).get("base_batch_size") or max(args.batch)
    numbers = {"--gpus": args.gpus, "--gpu-memory": args.gpu_memory, "--total-batch": total}
    for name, value in (*numbers.items(), *(("--batch", batch) for batch in args.batch)):
        if value <= 0:
            raise MapLLaVAError(f"{name} is {value}: use a positive number")
    return PlanOptions(args.gpus, args.gpu_memory, sorted(set(args.batch)), total)


def run(args: argparse.Namespace) -> int:
    """Plan; 1 where nothing fits."""
    cfg = resolve(config_of(args))
    options = options_of(args, cfg)
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    plain, bits = without_quantization(cfg.model)
    parts = model_parts(build_meta(plain), bits)
    with Console(stderr=True).status("building") as status:
        plans = make_plans(cfg, options, lambda what: status.update(f"counting a step: {what}"))
    chosen = choose(plans)
    Console(width=None if sys.stdout.isatty() else 110).print(plan_report(parts, plans, chosen, options))
    if args.json is not None:
        write_json(args.json, plan_values(args.config, parts, plans, chosen, options))
    return 0 if chosen is not None else 1
