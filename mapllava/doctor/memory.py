"""Memory that training keeps, and disk that its checkpoints take, from the shapes of the parameters alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from mapllava.analysis.cost.model_parts import averages_weights, kept_memory, without_quantization
from mapllava.checkpoint import computed_dtype
from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.config.hooks import hooks_of
from mapllava.config.without_pretrained import without_pretrained
from mapllava.doctor.context import Context, run_space
from mapllava.doctor.weights import absent, local_folder, localised, users_of_weights, weight_files
from mapllava.engine.runner.out_of_memory import memory_advice
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding
from mapllava.registry import MODELS
from mapllava.resources import gigabytes

_TIGHT = 0.9  # of the memory, state alone: activations come on top
_SMALL = 2 * 10**9  # bytes of weights that are read for the exact shapes
_MANY_FILES = 10**11  # bytes of checkpoints, ten times what a run should take
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Device:
    """What trains.

    Attributes:
        name: as torch calls it, ``cuda`` or ``cpu``.
        title: for people.
        memory: bytes in all.
        free: bytes that nobody uses.
    """

    name: str
    title: str
    memory: int
    free: int


def device() -> Device:
    """The first GPU, or this machine's CPU with its memory (a container's limit, where there is one)."""
    if torch.cuda.is_available():
        free, memory = torch.cuda.mem_get_info()
        return Device("cuda", torch.cuda.get_device_name(), memory, free)
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    memory, free = (int(facts[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    limit = _CGROUP.read_text().strip() if _CGROUP.is_file() else "max"
    if limit.isdigit():
        memory, free = min(memory, int(limit)), min(free, int(limit))
    return Device("cpu", "CPU", memory, free)


def memory(context: Context) -> Iterator[Finding]:
    """Parameters, gradients, optimiser and average against the device; checkpoints against the disk."""
    cfg, place = context.cfg, device()
    processes = max(1, torch.cuda.device_count())
    sharded = processes > 1 and (cfg.get("model_wrapper_cfg") or {}).get("type") == "FSDP2Wrapper"
    plain, bits = without_quantization(_buildable(cfg))
    try:
        with torch.device("meta"):
            model = MODELS.build(plain)
    except Exception as error:  # a model that knows no meta device; one that cannot be built fails its step
        text = " ".join(str(error).split())
        yield Finding("memory", SKIP, f"not counted: the model does not build without memory ({text})")
        return
    for parameter in model.parameters():
        parameter.data = parameter.data.to(computed_dtype(parameter.dtype, place.name))
    kept = kept_memory(model, cfg, processes, sharded, bits)
    total = sum(kept.values())
    listed = ", ".join(f"{name} {gigabytes(size)}" for name, size in kept.items() if size)
    reason = f"{gigabytes(total)} before activations ({listed}); {place.title} has {gigabytes(place.memory)}"
    reason += f", {gigabytes(place.free)} free"
    less = "\n".join(memory_advice(cfg, activations=False))
    if total > _TIGHT * place.memory:
        yield Finding("memory", FAIL, reason, less)
    elif total > _TIGHT * place.free:
        yield Finding("memory", FAIL, reason, f"end what else runs there (nvidia-smi, top), or:\n{less}")
    else:
        yield Finding("memory", OK, reason)
    yield _checkpoints(cfg, model, kept["optimiser"] * (processes if sharded else 1))


def _buildable(cfg: Config) -> Any:
    """The model's config with weights whose shapes can be read at once, or with none."""
    named = users_of_weights(cfg)
    folders = [local_folder(name) for name in named]
    sizes = [sum(path.stat().st_size for path in weight_files(folder)) for folder in folders if folder]
    if len(sizes) < len(named) or sum(sizes) > _SMALL or absent(cfg):
        return without_pretrained(cfg.model)
    return localised(cfg.model)


def _checkpoints(cfg: Config, model: nn.Module, optimizer: float) -> Finding:
    """What a run's files take: epochs kept and one being written, the final and the best model."""
    left_out = reloadable_keys(model, base_weight_modules(model, cfg.model))
    kept = sum(value.nbytes for key, value in model.state_dict().items() if key not in left_out)
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    best = kept + (trained if averages_weights(cfg) else 0)
    epoch = best + optimizer
    ours = (each for each in hooks_of(cfg) if each.get("type") == "RunCheckpointHook")
    hook: Mapping[str, Any] = next(ours, {})
    count = int(cfg.train_cfg.get("max_epochs") or 1) // int(hook.get("interval") or 1)
    count = min(count, hook.get("max_keep") or count) + 2
    total = count * epoch + best
    _, free = run_space()
    reason = f"a run leaves about {gigabytes(total)} ({gigabytes(epoch)} an epoch), {gigabytes(free)} free"
    remedy = "keep fewer: --cfg-options default_hooks.checkpoint.max_keep=2; or another disk: --work-dir"
    status = FAIL if total > free else WARN if total > _MANY_FILES else OK
    return Finding("checkpoints", status, reason, "" if status == OK else remedy)
