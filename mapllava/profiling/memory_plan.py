"""Which of batch size, checkpointing, 4-bit weights and sharding make a config fit a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mapllava.errors import MapLLaVAError
from mapllava.profiling.example_batch import SampleShape, example_batch
from mapllava.profiling.fake_step import build_meta, record_step
from mapllava.profiling.model_parts import (
    buffer_bytes,
    components,
    dequantized_bytes,
    gradient_bytes,
    largest_block_bytes,
    model_parts,
    optimizer_bytes,
    with_checkpointing,
    without_quantization,
)
from mapllava.profiling.step_recorder import StepRecorder

GIB = 2**30
CUDA_CONTEXT = 0.6 * GIB  # driver, kernels and cuBLAS workspaces of one process
SLACK = 0.05  # of activations and gradients: what PyTorch's allocator loses to fragmentation
PHASES = ("forward", "recompute", "backward")


@dataclass(frozen=True)
class PlanOptions:
    """What to try.

    Attributes:
        gpus: number of GPUs.
        gpu_memory: GiB of each.
        batches: samples per GPU and micro-step.
        total_batch: samples per update of all GPUs; accumulation follows from it.
        try_4bit: also try frozen language models in 4 bits.
    """

    gpus: int
    gpu_memory: float
    batches: Sequence[int]
    total_batch: int
    try_4bit: bool = True


@dataclass(frozen=True)
class Plan:
    """One combination and its cost on every GPU.

    Attributes:
        strategy: ``one GPU``, ``DDP`` or ``FSDP2``.
        weights: ``as configured`` or ``4-bit``.
        checkpointing: whether activations are recomputed.
        batch: samples per GPU and micro-step.
        accumulation: micro-steps per update.
        memory: bytes by what they are for, at the fullest moment.
        allocated: bytes that PyTorch's allocator hands out (``torch.cuda.max_memory_allocated``).
        total: these, and what the process takes besides.
        flops: (phase, part) to operations per sample.
        fits: whether the total is within the GPU's memory.
    """

    strategy: str
    weights: str
    checkpointing: bool
    batch: int
    accumulation: int
    memory: dict[str, float]
    allocated: float
    total: float
    fits: bool
    flops: dict[tuple[str, str], float] = field(repr=False)

    def flops_of(self, *phases: str) -> float:
        """Operations per sample of some phases."""
        return sum(count for (phase, _), count in self.flops.items() if phase in phases)


def make_plans(cfg: Any, options: PlanOptions, progress: Callable[[str], None] | None = None) -> list[Plan]:
    """Every combination, each counted from a step of its own on fake tensors.

    Args:
        cfg: a full config with its ``map_spec`` injected.
        options: what to try.
        progress: told what is being counted.

    Raises:
        MapLLaVAError: if the model cannot be built from its ``architecture``.
    """
    plain, bits = without_quantization(cfg["model"])
    shape, dtype = SampleShape.from_config(cfg), cfg["optim_wrapper"].get("dtype")
    states = {component.get("gradient_checkpointing") for _, component in components(plain)} - {None}
    plans = []
    for enabled in (False, True) if states else (False,):
        model_cfg = with_checkpointing(plain, enabled)
        for batch in options.batches:
            if progress is not None:
                progress(f"batch {batch}, checkpointing {'on' if enabled else 'off'}")
            model = build(model_cfg)
            costs = _Costs(model, cfg["optim_wrapper"], options)
            samples = example_batch(shape, batch)
            record = record_step(build(model_cfg), samples, dtype)
            for name, extra in _weight_choices(plain, bits, options):
                plans.append(costs.replicated(record, name, extra, batch, enabled))
            if options.gpus > 1 and not bits and costs.mostly_trainable:
                record = record_step(build(model_cfg), samples, dtype, cache=False)
                plans.append(costs.sharded(record, batch, enabled))
    return plans


def choose(plans: Sequence[Plan]) -> Plan | None:
    """The best that fits: weights as configured before 4-bit, then less arithmetic, then more samples.

    Recomputation is arithmetic too, so checkpointing is left off where that fits.
    """
    fitting = [plan for plan in plans if plan.fits]
    order = {"one GPU": 0, "DDP": 0, "FSDP2": 1}
    return min(
        fitting,
        key=lambda p: (p.weights == "4-bit", order[p.strategy], round(p.flops_of(*PHASES) / 1e9), -p.batch),
        default=None,
    )


def build(model_cfg: Any) -> nn.Module:
    """The model on the meta device.

    Raises:
        MapLLaVAError: naming what the config's model lacks.
    """
    try:
        return build_meta(model_cfg)
    except (TypeError, ValueError, KeyError) as error:
        raise MapLLaVAError(f"the config's model cannot be built without its weights: {error}") from error


def _weight_choices(
    model_cfg: Any, bits: dict[str, int], options: PlanOptions
) -> list[tuple[str, dict[str, int]]]:
    choices = [("as configured", bits)]
    frozen = {
        path: 4
        for path, component in components(model_cfg)
        if path == "decoder" and component.get("frozen") and bits.get(path) is None
    }
    return [*choices, ("4-bit", {**bits, **frozen})] if frozen and options.try_4bit else choices


class _Costs:
    """Bytes of one model under the strategies.

    Args:
        model: on the meta device.
        optim_wrapper: the config's.
        options: what is tried.
    """

    def __init__(self, model: nn.Module, optim_wrapper: Any, options: PlanOptions) -> None:
        self.model, self.options = model, options
        self.gradients, self.buffers = gradient_bytes(model), buffer_bytes(model)
        self.state, self.scratch = optimizer_bytes(model, optim_wrapper)
        total = sum(p.numel() for p in model.parameters())
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.mostly_trainable = trainable > total / 2

    def replicated(
        self, record: StepRecorder, weights: str, bits: dict[str, int], batch: int, enabled: bool
    ) -> Plan:
        """Whole weights on every GPU; more than one exchange gradients through DDP's buckets."""
        accumulation, several = self._accumulation(batch), self.options.gpus > 1
        memory = {
            "weights": sum(part.weight_bytes for part in model_parts(self.model, bits)),
            "buffers": float(self.buffers),
            "optimiser": self.state,
            **self._moment(record, accumulation, self.gradients, self.scratch),
            "DDP buckets": float(self.gradients if several else 0),
            "unpacked weight": float(dequantized_bytes(self.model, bits)),
        }
        strategy = "DDP" if several else "one GPU"
        return self._plan(strategy, weights, enabled, batch, accumulation, memory, record)

    def sharded(self, record: StepRecorder, batch: int, enabled: bool) -> Plan:
        """Weights, gradients and state divided over the GPUs, two blocks gathered at a time."""
        gpus, accumulation = self.options.gpus, self._accumulation(batch)
        weights = sum(part.weight_bytes for part in model_parts(self.model, {}))
        whole = float(3 * largest_block_bytes(self.model))  # this block, the next, this one's gradients
        moment = self._moment(record, accumulation, self.gradients, self.scratch)
        sharded = ("gradients", "optimiser's scratch")
        memory = {
            "weights": weights / gpus,
            "buffers": float(self.buffers),
            "optimiser": self.state / gpus,
            **{name: size / gpus if name in sharded else size for name, size in moment.items()},
            "gathered blocks": whole,
        }
        return self._plan("FSDP2", "as configured", enabled, batch, accumulation, memory, record)

    def _accumulation(self, batch: int) -> int:
        return math.ceil(self.options.total_batch / (self.options.gpus * batch))

    @staticmethod
    def _moment(record: StepRecorder, accumulation: int, gradients: int, scratch: float) -> dict[str, float]:
        """The fuller of two moments: inside of forward and backward, or the optimiser's step."""
        kept = gradients if accumulation > 1 else record.peak_grads
        activations = record.peak_activations if accumulation > 1 else record.peak - record.held - kept
        if gradients + scratch > kept + activations:
            return {"gradients": float(gradients), "optimiser's scratch": scratch}
        return {"gradients": float(kept), "activations": float(activations)}

    def _plan(
        self,
        strategy: str,
        weights: str,
        enabled: bool,
        batch: int,
        accumulation: int,
        memory: dict[str, float],
        record: StepRecorder,
    ) -> Plan:
        allocated = sum(memory.values())
        moving = memory["gradients"] + memory.get("activations", 0.0)
        outside = {"CUDA context": CUDA_CONTEXT, "fragmentation": SLACK * moving}
        memory = {name: size for name, size in {**memory, **outside}.items() if size}
        total = sum(memory.values())
        flops = {key: count / batch for key, count in record.flops.items()}
        fits = total <= self.options.gpu_memory * GIB
        return Plan(
            strategy, weights, enabled, batch, accumulation, memory, allocated, total, fits, flops
        )
