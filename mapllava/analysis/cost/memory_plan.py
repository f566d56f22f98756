"""Which of batch size, checkpointing, 4-bit weights and sharding make a config fit a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mapllava.analysis.cost.example_batch import SampleShape, example_batch
from mapllava.analysis.cost.fake_step import build_meta, record_step
from mapllava.analysis.cost.model_parts import (
    components,
    dequantized_bytes,
    kept_memory,
    model_parts,
    optimizer_bytes,
    with_checkpointing,
    without_quantization,
)
from mapllava.analysis.cost.step_recorder import StepRecorder
from mapllava.checkpoint import cpu_has_bfloat16
from mapllava.engine.distributed.fsdp2_wrapper import TRANSFORMER_BLOCKS

GIB = 2**30
CUDA_CONTEXT = 0.6 * GIB  # driver, kernels and cuBLAS workspaces of one process
SLACK = 0.05  # of activations and gradients: what PyTorch's allocator loses to fragmentation
USABLE = 0.95  # of a card: the rest is the driver's and other programs', and the estimate's error
AS_CONFIGURED = "as configured"
PHASES = ("forward", "recompute", "backward")
_NEARLY = 1.05  # arithmetic that is worth a larger batch


@dataclass(frozen=True)
class PlanOptions:
    """What to try.

    Attributes:
        gpus: number of GPUs.
        gpu_memory: GiB of each.
        batches: samples per GPU and micro-step.
        total_batch: samples per update of all GPUs; accumulation follows from it.
        vary: also try frozen parts in 4 bits, and checkpointing off and on everywhere.
        gpu: count as on a GPU, see :func:`~mapllava.analysis.cost.fake_step.gpu_rules`.
    """

    gpus: int
    gpu_memory: float
    batches: Sequence[int]
    total_batch: int
    vary: bool = True
    gpu: bool = True


@dataclass(frozen=True)
class Plan:
    """One combination and its cost on every GPU.

    Attributes:
        strategy: ``one GPU``, ``DDP`` or ``FSDP2``.
        weights: ``as configured`` or ``4-bit``.
        checkpointing: ``as configured``, or ``off`` or ``on`` in every part that offers it.
        batch: samples per GPU and micro-step.
        accumulation: micro-steps per update.
        memory: bytes by what they are for, at the fullest moment.
        allocated: bytes that PyTorch's allocator hands out (``torch.cuda.max_memory_allocated``).
        total: these, and what the process takes besides.
        flops: (phase, part) to operations per sample.
        fits: whether the total is within the usable part of the GPU's memory.
    """

    strategy: str
    weights: str
    checkpointing: str
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
        cfg: a full config with its ``map_spec`` filled in.
        options: what to try.
        progress: told what is being counted.

    Raises:
        MapLLaVAError: if the model cannot be built from its ``architecture``.
    """
    plain, bits = without_quantization(cfg["model"])
    shape, dtype = SampleShape.from_config(cfg), cfg["optim_wrapper"].get("dtype")
    if dtype == "bfloat16" and not options.gpu and not cpu_has_bfloat16():
        dtype = None
    plans = []
    for checkpointing, model_cfg in _checkpointing_choices(plain, options):
        costs = _Costs(build_meta(model_cfg), cfg, options)
        for batch in options.batches:
            if progress is not None:
                progress(f"checkpointing {checkpointing}, batch {batch}")
            samples = example_batch(shape, batch)
            record = record_step(build_meta(model_cfg), samples, dtype, options.gpu)
            for name, quantized in _weight_choices(plain, bits, options):
                plans.append(costs.replicated(record, (name, checkpointing, batch), quantized))
            if costs.shards is not None and not bits:
                record = record_step(build_meta(model_cfg), samples, dtype, options.gpu, cache=False)
                plans.append(costs.sharded(record, (AS_CONFIGURED, checkpointing, batch)))
    return plans


def choose(plans: Sequence[Plan]) -> Plan | None:
    """The best that fits: weights as configured before 4-bit, whole before sharded, then most samples.

    Recomputation is arithmetic too, so checkpointing is left off where that fits, unless it costs less than
    a twentieth and makes room for a larger batch.
    """
    fitting = [plan for plan in plans if plan.fits]
    if not fitting:
        return None
    first = min((plan.weights == "4-bit", plan.strategy == "FSDP2") for plan in fitting)
    fitting = [plan for plan in fitting if (plan.weights == "4-bit", plan.strategy == "FSDP2") == first]
    least = min(plan.flops_of(*PHASES) for plan in fitting)
    near = [plan for plan in fitting if plan.flops_of(*PHASES) <= _NEARLY * least]
    return max(near, key=lambda plan: (plan.batch, -plan.flops_of(*PHASES)))


def _checkpointing_choices(model_cfg: Any, options: PlanOptions) -> list[tuple[str, Any]]:
    """The config as it is, and with checkpointing off and on in all parts, where that differs."""
    choices = [(AS_CONFIGURED, model_cfg)]
    if not options.vary:
        return choices
    for name, enabled in (("off", False), ("on", True)):
        changed, places = with_checkpointing(model_cfg, enabled)
        if places:
            choices.append((name, changed))
    return choices


def _weight_choices(
    model_cfg: Any, bits: dict[str, int], options: PlanOptions
) -> list[tuple[str, dict[str, int]]]:
    choices = [(AS_CONFIGURED, bits)]
    frozen = {
        path: 4 for path, component in components(model_cfg) if component.get("frozen") and path not in bits
    }
    return [*choices, ("4-bit", {**bits, **frozen})] if frozen and options.vary else choices


class _Costs:
    """Bytes of one model under the strategies.

    Args:
        model: on the meta device.
        cfg: the full config.
        options: what is tried.

    Attributes:
        shards: what FSDP2 keeps and gathers; None where it is not worth trying.
    """

    def __init__(self, model: nn.Module, cfg: Any, options: PlanOptions) -> None:
        self.model, self.options = model, options
        self.whole = kept_memory(model, cfg, options.gpus)
        self.scratch = optimizer_bytes(model, cfg["optim_wrapper"])[1]
        self.shards = kept_memory(model, cfg, options.gpus, sharded=True) if self._shardable(cfg) else None

    def _shardable(self, cfg: Any) -> bool:
        """Whether a config asks for FSDP2, or trains more than it keeps frozen and could be sharded."""
        wrapper = cfg.get("model_wrapper_cfg") or {}
        names = {base.__name__ for module in self.model.modules() for base in type(module).__mro__}
        total = sum(p.numel() for p in self.model.parameters())
        trainable = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        worthwhile = trainable > total / 2 and names.issuperset(TRANSFORMER_BLOCKS)
        worthwhile &= cfg["optim_wrapper"]["optimizer"]["type"] != "MuonAdamW"  # which needs whole gradients
        return self.options.gpus > 1 and (wrapper.get("type") == "FSDP2Wrapper" or worthwhile)

    def replicated(self, record: StepRecorder, choice: tuple[str, str, int], bits: dict[str, int]) -> Plan:
        """Whole weights on every GPU; more than one exchange gradients through DDP's buckets.

        Args:
            record: of one step.
            choice: weights, checkpointing and batch, as :class:`Plan` names them.
            bits: bits of the quantised parts.
        """
        memory = {
            **self.whole,
            "weights": sum(part.weight_bytes for part in model_parts(self.model, bits)),
            **self._moment(record, self._accumulation(choice[2])),
            "unpacked weight": float(dequantized_bytes(self.model, bits)),
        }
        return self._plan("DDP" if self.options.gpus > 1 else "one GPU", choice, memory, record)

    def sharded(self, record: StepRecorder, choice: tuple[str, str, int]) -> Plan:
        """Weights, gradients and state divided over the GPUs; gradients exchanged with every micro-step."""
        if self.shards is None:
            raise ValueError("this config has no shards")
        moment = self._moment(record, self._accumulation(choice[2]))
        for name in ("gradients", "optimiser's scratch"):
            if name in moment:
                moment[name] /= self.options.gpus
        return self._plan("FSDP2", choice, {**self.shards, **moment}, record)

    def _accumulation(self, batch: int) -> int:
        return math.ceil(self.options.total_batch / (self.options.gpus * batch))

    def _moment(self, record: StepRecorder, accumulation: int) -> dict[str, float]:
        """The fuller of two moments: inside of forward and backward, or the optimiser's step."""
        every = self.whole["gradients"]
        kept = every if accumulation > 1 else record.peak_grads
        activations = record.peak_activations if accumulation > 1 else record.peak - record.held - kept
        if every + self.scratch > kept + activations:
            return {"gradients": every, "optimiser's scratch": self.scratch}
        return {"gradients": float(kept), "activations": float(activations)}

    def _plan(
        self, strategy: str, choice: tuple[str, str, int], memory: dict[str, float], record: StepRecorder
    ) -> Plan:
        weights, checkpointing, batch = choice
        allocated = sum(memory.values())
        moving = memory["gradients"] + memory.get("activations", 0.0)
        outside = {"CUDA context": CUDA_CONTEXT, "fragmentation": SLACK * moving}
        memory = {name: size for name, size in {**memory, **outside}.items() if size}
        total = sum(memory.values())
        return Plan(
            strategy=strategy,
            weights=weights,
            checkpointing=checkpointing,
            batch=batch,
            accumulation=self._accumulation(batch),
            memory=memory,
            allocated=allocated,
            total=total,
            fits=total <= USABLE * self.options.gpu_memory * GIB,
            flops={key: count / batch for key, count in record.flops.items()},
        )
