"""Parameters of a model, part by part, and the bytes that they, their gradients and the optimiser take."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.analysis.cost.training_step import build_optimizer
from mapllava.config.components import arguments_of
from mapllava.config.hooks import hooks_of
from mapllava.config.walk import dicts
from mapllava.engine.distributed.fsdp2_wrapper import TRANSFORMER_BLOCKS
from mapllava.engine.distributed.memory import state_memory
from mapllava.registry import MODELS

# bytes of a linear weight: NF4 has an 8-bit scale per 64 weights, a float32 scale per 256 of those;
# 8-bit has a float32 scale per row, which is left out here
QUANTIZED_BYTES = {4: 0.5 + 1 / 64 + 4 / (64 * 256), 8: 1.0}
_STAND_IN = 64  # side of the parameters that show how much state an optimiser keeps


@dataclass(frozen=True)
class Part:
    """One part of the model.

    Attributes:
        name: the detector's attribute.
        total: parameters.
        trainable: those that train.
        weight_bytes: bytes of the weights as the config asks for them, quantised ones included.
    """

    name: str
    total: int
    trainable: int
    weight_bytes: float


def components(model_cfg: Any) -> Iterator[tuple[str, Any]]:
    """Dotted place and dict of every part that may start from pretrained weights."""
    for path, node in dicts(model_cfg):
        if path and ("architecture" in node or "pretrained" in node):
            yield path, node


def without_quantization(model_cfg: Any) -> tuple[Any, dict[str, int]]:
    """The model's config with plain weights, and the bits of each part that has quantised ones.

    Quantised weights need a library and a GPU to be built; their bytes are arithmetic.
    """
    plain = copy.deepcopy(model_cfg)
    bits = {}
    for path, component in components(plain):
        quantization = component.pop("quantization", None)
        if quantization:
            bits[path] = int(quantization.get("bits", 4))
    return plain, bits


def with_checkpointing(model_cfg: Any, enabled: bool) -> tuple[Any, list[str]]:
    """The model's config with gradient checkpointing switched in every part that offers it.

    Returns:
        the changed copy, and the places whose setting changed.
    """
    changed, places = copy.deepcopy(model_cfg), []
    for path, component in components(changed):
        if not _offers_checkpointing(component) or bool(component.get("gradient_checkpointing")) == enabled:
            continue
        component["gradient_checkpointing"] = enabled
        places.append(path)
    return changed, places


def _offers_checkpointing(component: Any) -> bool:
    """Frozen vision encoders see no gradient and keep nothing that could be recomputed."""
    cls = MODELS.get(component["type"])
    if cls is None or (component.get("frozen") and not component.get("lora") and hasattr(cls, "grid_size")):
        return False
    if not getattr(cls, "recomputes", lambda _: True)(component.get("architecture")):
        return False
    return "gradient_checkpointing" in arguments_of(cls)[0]


def model_parts(model: nn.Module, bits: Mapping[str, int]) -> list[Part]:
    """The model's children, a tensor that two of them share counting for the first.

    Args:
        model: the detector, on any device.
        bits: place of a component to the bits of its backbone's linear weights.
    """
    quantized = {id(weight): QUANTIZED_BYTES[width] for weight, width in _linear_weights(model, bits)}
    parts, seen = [], set()
    for name, child in model.named_children():
        own = [p for p in child.parameters() if id(p) not in seen]
        seen |= {id(p) for p in own}
        if own:
            size = sum(p.numel() * quantized.get(id(p), p.element_size()) for p in own)
            trainable = sum(p.numel() for p in own if p.requires_grad)
            parts.append(Part(name, sum(p.numel() for p in own), trainable, size))
    return parts


def kept_memory(
    model: nn.Module, cfg: Any, gpus: int = 1, sharded: bool = False, bits: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Bytes that every GPU holds in training whatever the batch, by what they are for.

    Args:
        model: the detector with plain weights, on any device.
        cfg: the full config.
        gpus: how many train together.
        sharded: by FSDP2Wrapper, with its settings in the config, instead of DistributedDataParallel.
        bits: place of a quantised component to the bits of its linear weights.

    Returns:
        ``weights``, ``buffers``, ``optimiser``, ``average``, ``gradients`` and, of several GPUs,
        ``DDP buckets`` or ``gathered units``.
    """
    wrapper = cfg.get("model_wrapper_cfg") or {}
    asked, share = wrapper.get("type") == "FSDP2Wrapper", gpus if sharded else 1
    state = state_memory(
        model,
        gpus,
        sharded,
        tuple(wrapper.get("units", TRANSFORMER_BLOCKS)) if asked else TRANSFORMER_BLOCKS,
        wrapper.get("param_dtype") if asked else cfg["optim_wrapper"].get("dtype"),
    )
    whole = sum(part.weight_bytes for part in model_parts(model, bits or {}))
    gradients = state_memory(model).gradients
    return {
        "weights": float(state.parameters) if sharded else whole,
        "buffers": float(buffer_bytes(model)),
        "optimiser": optimizer_bytes(model, cfg["optim_wrapper"])[0] / share,
        "average": gradients / share if averages_weights(cfg) else 0.0,
        "gradients": gradients / share,
        "gathered units" if sharded else "DDP buckets": float(state.exchange),
    }


def averages_weights(cfg: Any) -> bool:
    """Whether a hook of a full config keeps averaged weights beside those that train."""
    return any("EMA" in str(hook.get("type")) for hook in hooks_of(cfg))


def dequantized_bytes(model: nn.Module, bits: dict[str, int]) -> int:
    """Bytes of the largest quantised weight unpacked to 16 bits, which a matrix product needs."""
    return max((2 * weight.numel() for weight, _ in _linear_weights(model, bits)), default=0)


def buffer_bytes(model: nn.Module) -> int:
    """Bytes of all buffers."""
    return sum(buffer.nbytes for buffer in model.buffers())


def optimizer_bytes(model: nn.Module, optim_wrapper: dict) -> tuple[float, float]:
    """Bytes of the optimiser's state, and of its scratch memory during a step on a GPU.

    The optimiser is built from its config and then again over small parameters, one per group,
    whose real step shows how many values it keeps per parameter. Scratch memory is that of
    PyTorch's default implementation on a GPU (``foreach``): one value per parameter of a group.
    """
    built = build_optimizer(model, optim_wrapper)
    cfg, state, scratch = dict(optim_wrapper["optimizer"]), 0.0, 0.0
    groups = []
    for group in built.param_groups:
        stand_in = nn.Parameter(torch.zeros([_STAND_IN] * max(min(group["params"][0].ndim, 2), 1)))
        stand_in.grad = torch.ones_like(stand_in)
        options = {key: value for key, value in group.items() if key not in ("params", "param_names")}
        groups.append({**options, "params": [stand_in]})
        fused = group.get("fused") or group.get("foreach") is False
        size = sum(p.nbytes for p in group["params"] if p.requires_grad)
        scratch = max(scratch, 0.0 if fused else size)
    small: Any = type(built)(groups, **{key: value for key, value in cfg.items() if key != "type"})
    small.step()
    for group, original in zip(small.param_groups, built.param_groups, strict=True):
        kept = small.state[group["params"][0]].values() if group["params"][0] in small.state else ()
        tensors = [v for v in kept if isinstance(v, torch.Tensor) and v.ndim]
        per_value = sum(t.numel() * t.element_size() for t in tensors) / group["params"][0].numel()
        state += per_value * sum(p.numel() for p in original["params"] if p.requires_grad)
    return state, scratch


def _linear_weights(model: nn.Module, bits: Mapping[str, int]) -> Iterator[tuple[Tensor, int]]:
    for path, width in bits.items():
        component: Any = model.get_submodule(path)
        for module in getattr(component, "backbone", component).modules():
            if isinstance(module, nn.Linear):
                yield module.weight, width
