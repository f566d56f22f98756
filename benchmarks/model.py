"""A config's training step with random weights and images of its real shapes: time, memory, arithmetic.

Needs no weights and no data set. A step is one batch: preprocessing, forward, matching and losses,
backward, and the optimiser's update. Run it from the repository's root::

    python benchmarks/model.py configs/stage2/synthetic.py --batch 1 2 4          # the tiny model, on a CPU
    python benchmarks/model.py configs/stage2/trainval.py --batch 1 2 4 --device cuda --peak-tflops 790
    python benchmarks/model.py CONFIG --cfg-options model.decoder.gradient_checkpointing=False --out all.json

Utilisation counts the model's arithmetic without recomputation against --peak-tflops, the rate of the
card's dense matrix products in the dtype that is used. A batch that does not fit is said to be out of memory.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from common import finish, parser, say, show_table
from measured import LOSSES, REST, StepTimer, measured_peak
from mmengine.logging import MMLogger

from mapllava.analysis.cost import PlanOptions, SampleShape, example_batch, make_plans
from mapllava.cli.command_line import config_of
from mapllava.cli.exit_status import exit_status
from mapllava.config.options import OptionsAction
from mapllava.config.resolve import resolve
from mapllava.config.without_pretrained import without_pretrained
from mapllava.engine.runner.out_of_memory import is_out_of_memory
from mapllava.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

GIB = 2**30
OPTIMISER, PREPROCESS = "optimiser", "preprocess"
OUTSIDE = (PREPROCESS, LOSSES, OPTIMISER, REST)


class Trainer:
    """A config's model with random weights, its optimiser, and its steps on a device.

    Args:
        cfg: a full config with its ``map_spec`` filled in.
        device: ``cpu`` or ``cuda``.
        compiled: whether ``torch.compile`` takes the pretrained models of its parts.
    """

    def __init__(self, cfg: Any, device: str, compiled: bool = False) -> None:
        with torch.device(device):
            self.model = MODELS.build(without_pretrained(cfg.model))
        self.model.to(device).train()
        if compiled:
            for name, module in self.model.named_modules():
                if name.rpartition(".")[2] == "backbone":
                    module.compile()
        wrapper = dict(cfg.optim_wrapper, accumulative_counts=1)
        paramwise = wrapper.pop("paramwise_cfg", None)
        kind = wrapper.pop("constructor", "DefaultOptimWrapperConstructor")
        made = {"type": kind, "optim_wrapper_cfg": wrapper, "paramwise_cfg": paramwise}
        self.optim = OPTIM_WRAPPER_CONSTRUCTORS.build(made)(self.model)
        self.timer = StepTimer(self.model, {"map_queries": "decoder", "data_preprocessor": PREPROCESS})
        self.optim.step = self.timer.timed(self.optim.step, OPTIMISER)
        self.device = device

    def step(self, batch: dict[str, Any]) -> dict[str, float]:
        """One step; seconds of each part."""
        timer = self.timer
        with timer.attached():
            timer.start()
            data = self.model.data_preprocessor(batch, True)
            with self.optim.optim_context(self.model):
                losses = self.model(**data, mode="loss")
                loss = torch.stack(list(losses.values())).sum()
            timer.mark(LOSSES)
            self.optim.update_params(loss)
            seconds = timer.stop()
        if self.optim.nonfinite is not None:
            raise RuntimeError(f"{self.optim.nonfinite} is not finite with random weights")
        return seconds

    def peak(self, batch: dict[str, Any]) -> int:
        """Most bytes that PyTorch hands out at once during a step, weights and optimiser's state included."""
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            self.step(batch)
            return torch.cuda.max_memory_allocated()
        held = [*self.model.parameters(), *self.model.buffers()]
        for values in self.optim.optimizer.state.values():
            held += [value for value in values.values() if isinstance(value, torch.Tensor)]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
        return sum(storages.values()) + measured_peak(lambda: self.step(batch))


def measure(trainer: Trainer, batch: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Median step time, its parts and the peak of memory."""
    size = len(batch["data_samples"])
    for _ in range(args.warmup):
        trainer.step(batch)
    steps = [trainer.step(batch) for _ in range(args.steps)]
    seconds = statistics.median(sum(step.values()) for step in steps)
    parts = {name: statistics.mean(step.get(name, 0.0) for step in steps) for name in steps[0]}
    whole = sum(parts.values())
    share = {name: value / whole for name, value in parts.items()}
    return {
        "seconds_per_step": seconds,
        "samples_per_second": size / seconds,
        "peak_bytes": trainer.peak(batch),
        "share": share,
        "share_outside_model": sum(share.get(name, 0.0) for name in OUTSIDE),
    }


def rates(row: dict[str, Any], peak_tflops: float | None) -> dict[str, Any]:
    """A row with its operations a second, and their share of what the card can do."""
    if "out_of_memory" in row:
        return row
    per_second = row["model_flops_per_sample"] * row["samples_per_second"]
    used = None if peak_tflops is None else per_second / (peak_tflops * 1e12)
    return {**row, "tflop_per_second": per_second / 1e12, "utilisation": used}


def planned(cfg: Any, batches: Sequence[int], gpu: bool) -> list[dict[str, Any]]:
    """What each batch size should cost."""
    options = PlanOptions(1, float("inf"), batches, total_batch=1, vary=False, gpu=gpu)
    return [
        {
            "batch": plan.batch,
            "estimated_bytes": plan.allocated,
            "model_flops_per_sample": plan.flops_of("forward", "backward"),
            "recomputed_flops_per_sample": plan.flops_of("recompute"),
        }
        for plan in make_plans(dict(cfg, default_hooks={}, custom_hooks=[]), options)  # without an average
    ]


def measured(
    cfg: Any, batches: Sequence[int], args: argparse.Namespace, compiled: bool = False
) -> Iterator[dict[str, Any]]:
    """What each batch size does cost; those that do not fit say so."""
    shape, trainer = SampleShape.from_config(cfg, args.elements), None
    for batch in batches:
        row: dict[str, Any] = {"batch": batch}
        try:
            trainer = trainer or Trainer(cfg, args.device, compiled)
            row |= measure(trainer, example_batch(shape, batch), args)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            row["out_of_memory"] = True
        if "out_of_memory" in row:
            give_back(trainer)
        yield row


def rows_of(cfg: Any, args: argparse.Namespace) -> list[dict[str, Any]]:
    """What each batch size costs, planned and measured."""
    plans = planned(cfg, args.batch, args.device != "cpu")
    pairs = zip(plans, measured(cfg, args.batch, args), strict=True)
    return [rates({**plan, **found}, args.peak_tflops) for plan, found in pairs]


def give_back(trainer: Trainer | None) -> None:
    """Free what a step left behind that did not come to its end."""
    if trainer is not None:
        trainer.optim.zero_grad()
    gc.collect()
    torch.cuda.empty_cache()


def show(rows: list[dict[str, Any]], config: str, device: str) -> None:
    """Print costs, arithmetic and shares of time."""
    costs, arithmetic, fitting = [], [], [row for row in rows if "out_of_memory" not in row]
    for row in rows:
        ms, speed, peak, planned = "", "", "out of memory", f"{row['estimated_bytes'] / GIB:.3f}"
        operations = [f"{row[f'{name}_flops_per_sample'] / 1e12:.4g}" for name in ("model", "recomputed")]
        used = ["", ""]
        if row in fitting:
            ms, speed = f"{1000 * row['seconds_per_step']:.1f}", f"{row['samples_per_second']:.2f}"
            peak = f"{row['peak_bytes'] / GIB:.3f}"
            share = row["utilisation"]
            used = [f"{row['tflop_per_second']:.4g}", "" if share is None else f"{share:.1%}"]
        costs.append([row["batch"], ms, speed, peak, planned])
        arithmetic.append([row["batch"], *operations, *used])
    columns = ["batch", "ms a step", "samples/s", "peak GiB", "planned GiB"]
    show_table(f"Training step of {config} on {device}", columns, costs)
    columns = ["batch", "TFLOP a sample", "recomputed", "TFLOP/s", "utilisation"]
    show_table("Arithmetic", columns, arithmetic)
    if fitting:
        names = list(fitting[0]["share"])
        body = [[name, *(f"{row['share'].get(name, 0.0):.1%}" for row in fitting)] for name in names]
        body.append(["outside the model", *(f"{row['share_outside_model']:.1%}" for row in fitting)])
        show_table("Share of time", ["part", *(f"batch {row['batch']}" for row in fitting)], body)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    add = made.add_argument
    add("config", help="config file, for instance configs/stage2/trainval.py")
    add(
        "--batch", type=int, nargs="+", default=[1, 2, 4], metavar="B", help="samples a step (default: 1 2 4)"
    )
    add("--steps", type=int, default=10, help="steps that are timed (default: %(default)s)")
    add("--warmup", type=int, default=3, help="steps before them (default: %(default)s)")
    add("--elements", type=int, default=20, help="map elements of a sample (default: %(default)s)")
    add("--peak-tflops", type=float, help="the card's rate; without it no utilisation is given")
    here = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", choices=["cpu", "cuda"], default=here, help="default: cuda if there is one")
    add("--threads", type=int, help="PyTorch's threads on a CPU; its own choice by default")
    add("--cfg-options", nargs="+", action=OptionsAction, metavar="KEY=VALUE", help="override config values")
    add("--plugins", nargs="+", default=[], metavar="MODULE", help="modules or .py files to import first")
    made.set_defaults(launcher="none", local_rank=0)
    args = made.parse_args(argv)
    if min(*args.batch, args.steps, args.elements) < 1:
        made.error("--batch, --steps and --elements take positive numbers")
    return args


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cfg = resolve(config_of(args))
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    rows = rows_of(cfg, args)
    show(rows, args.config, args.device)
    result: dict[str, Any] = {
        "config": args.config,
        "device": args.device,
        "threads": torch.get_num_threads(),
    }
    result |= {"options": args.cfg_options, "dtype": cfg.optim_wrapper.get("dtype")}
    if args.device == "cuda":
        result |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        say(result["gpu"])
    result |= {"peak_tflops": args.peak_tflops, "steps": args.steps, "rows": rows}
    finish(args.out, result, "torch", "transformers", "mmengine")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
