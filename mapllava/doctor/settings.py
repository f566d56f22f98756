"""Settings that contradict each other, the data or the machine."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sized
from typing import Any, cast

import torch
from mmengine.config import Config

from mapllava.checkpoint import NO_BFLOAT16, cpu_has_bfloat16
from mapllava.checkpoint.checkpoint_loader import checkpoint_file, load_from_disk
from mapllava.config.components import argument, components
from mapllava.config.resolve import EVALUATORS, schedules_of
from mapllava.config.walk import DATALOADERS
from mapllava.doctor.context import Context
from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.engine.runner.builder import check_schedule_unit
from mapllava.engine.runner.resume_changes import check_resume
from mapllava.engine.runner.run_checks import check_saving, check_transforms, check_validation
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding
from mapllava.models.backbones.trainability import check_trainability
from mapllava.registry import HOOKS, METRICS

_EXTRAS = {"lora": ("peft", "lora"), "quantization": ("bitsandbytes", "quant")}


def settings(context: Context) -> Iterator[Finding]:
    """Contradictions; one line if there are none."""
    cfg = context.cfg
    parts = (validation, saving, loading, precision, freezing, sharding, start)
    found = [finding for part in parts for finding in part(cfg)]
    found += Finding.refusals("pipeline", "change map_spec.roi or the pipeline", check_transforms, cfg)
    found += schedule(context)
    yield from found
    if all(finding.status in (OK, SKIP) for finding in found):
        yield Finding("settings", OK, "no contradictions")


def validation(cfg: Config) -> Iterator[Finding]:
    """Validation is set whole, happens, and its metrics and the hooks can be built."""
    remedy = "set all three of val_dataloader, val_cfg and val_evaluator"
    if refused := Finding.refusals("validation", remedy, check_validation, cfg):
        yield from refused
        return
    train: Mapping[str, Any] = cfg.get("train_cfg") or {}
    begin, epochs = train.get("val_begin", 1), train.get("max_epochs")
    if cfg.get("val_dataloader") is None:
        reason = "no validation is set: no metrics, and no best_model.pth"
        yield Finding("validation", WARN, reason, remedy)
    elif epochs and begin > epochs:
        reason = f"validation begins with epoch {begin} of {epochs}: never, and no best_model.pth"
        yield Finding("validation", FAIL, reason, "set train_cfg.val_begin=1")
    yield from _unbuildable(cfg)


def _unbuildable(cfg: Config) -> Iterator[Finding]:
    parts = [(key, METRICS, cfg.get(key)) for key in EVALUATORS]
    named = cfg.get("default_hooks") or {}
    parts += [(f"default_hooks.{name}", HOOKS, hook) for name, hook in named.items()]
    parts += [("custom_hooks", HOOKS, cfg.get("custom_hooks"))]
    for key, registry, value in parts:
        for index, node in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            if not isinstance(node, Mapping) or "type" not in node:
                continue
            try:
                registry.build({name: each for name, each in node.items() if name != "priority"})
            except (MapLLaVAError, ValueError, TypeError, KeyError) as error:
                where = f"{key}.{index}" if isinstance(value, (list, tuple)) else key
                yield Finding.from_error(where, error, f"put {where} ({node['type']}) right")


def saving(cfg: Config) -> Iterator[Finding]:
    """The training leaves files behind that can be loaded."""
    yield from Finding.refusals("saving", "inherit configs/_base_/default_runtime.py", check_saving, cfg)
    if cfg.get("without_checkpoints"):
        reason = "without_checkpoints is set: the run may save nothing"
        yield Finding("saving", WARN, reason, "take it out to have this looked at")


def loading(cfg: Config) -> Iterator[Finding]:
    """Batch sizes, and processes that load."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for key in DATALOADERS:
        loader = cfg.get(key)
        if loader is None or (key == "test_dataloader" and loader == cfg.get("val_dataloader")):
            continue
        size, workers = loader.get("batch_size"), loader.get("num_workers", 0)
        if not isinstance(loader.get("dataset"), Mapping):
            yield Finding(key, FAIL, f"batch_size={size} of no data: {key}.dataset is missing", "set it")
        if "batch_sampler" not in loader and (not isinstance(size, int) or size < 1):
            yield Finding(key, FAIL, f"{key}.batch_size is {size!r}", "use a whole number from 1")
        if loader.get("persistent_workers") and not workers:
            reason = "persistent_workers=True needs num_workers of 1 or more"
            yield Finding(key, FAIL, reason, f"set {key}.persistent_workers=False")
        if workers > 2 * cores:
            reason = f"{workers} loading processes on {cores} cores get in each other's way"
            yield Finding(key, WARN, reason, f"set {key}.num_workers={cores}")


def precision(cfg: Config) -> Iterator[Finding]:
    """Half precision that the device computes in."""
    dtype = (cfg.get("optim_wrapper") or {}).get("dtype")
    gpu = torch.cuda.is_available()
    if dtype == "bfloat16" and gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        reason = f"optim_wrapper.dtype is bfloat16, which {torch.cuda.get_device_name()} does not compute in"
        yield Finding("precision", FAIL, reason, "set optim_wrapper.dtype=float16")
    if dtype == "bfloat16" and not gpu and not cpu_has_bfloat16():
        yield Finding("precision", OK, NO_BFLOAT16)
    if dtype == "float16" and not gpu:
        reason = "optim_wrapper.dtype is float16: on a CPU no loss scaler keeps gradients from vanishing"
        yield Finding("precision", WARN, reason, "set optim_wrapper.dtype=bfloat16")


def freezing(cfg: Config) -> Iterator[Finding]:
    """LoRA and quantisation on frozen weights only, and their packages installed."""
    for component in components(cfg.to_dict()):
        asked = [name for name in _EXTRAS if component.node.get(name) is not None]
        if not asked:
            continue
        node = component.node
        given = [component.where, argument(node, "frozen") is not False]
        given += [node.get("lora"), node.get("quantization")]
        remedy = f"change {component.where} accordingly"
        yield from Finding.refusals(component.where, remedy, check_trainability, *given)
        for name in asked:
            package, extra = _EXTRAS[name]
            if importlib.util.find_spec(package) is None:
                reason = f"{component.where}.{name} needs {package}, which is not installed"
                yield Finding(component.where, FAIL, reason, f"pip install -r requirements/{extra}.txt")


def sharding(cfg: Config) -> Iterator[Finding]:
    """FSDP2 shards neither packed weights nor for an optimiser that needs whole gradients."""
    if (cfg.get("model_wrapper_cfg") or {}).get("type") != "FSDP2Wrapper":
        return
    packed = [each.where for each in components(cfg.to_dict()) if each.node.get("quantization") is not None]
    if packed:
        reason = f"FSDP2Wrapper cannot shard the quantised weights of {', '.join(packed)}"
        yield Finding("sharding", FAIL, reason, "take model_wrapper_cfg out: packed weights fit each GPU")
    if cfg.optim_wrapper.get("optimizer", {}).get("type") == "MuonAdamW":
        reason = "MuonAdamW needs whole gradients, FSDP2Wrapper shards them"
        yield Finding("sharding", FAIL, reason, "set optim_wrapper.optimizer.type=AdamW")


def start(cfg: Config) -> Iterator[Finding]:
    """The checkpoint to start from is there, whole and harmless; one to resume fits the config."""
    if not cfg.get("load_from"):
        return
    try:
        content = load_from_disk(str(checkpoint_file(cfg.load_from)))
    except MapLLaVAError as error:
        yield Finding.from_error("load_from", error, "--cfg-options load_from=PATH, or None")
        return
    if cfg.get("resume"):
        remedy = "set the values back, or start a new run with resume=False"
        yield from Finding.refusals(
            "resume", remedy, check_resume, cfg, content.get("meta", {}), cfg.load_from
        )


def schedule(context: Context) -> Iterator[Finding]:
    """Updates of the whole run against batches, accumulation, warm-up and the learning rate's batch."""
    cfg = context.cfg
    try:
        loader = context.train_loader
    except Exception as error:  # whatever the data set raises is a matter of the data's checks
        reason = f"not looked at: the training data cannot be read ({type(error).__name__})"
        yield Finding("schedule", SKIP, reason)
        return
    processes = max(1, torch.cuda.device_count())
    batches = len(loader) // processes
    every = accumulative_counts(cfg.optim_wrapper)
    an_epoch, epochs = -(-batches // every), int(cfg.train_cfg.get("max_epochs") or 1)
    updates = cfg.train_cfg.get("max_iters") or an_epoch * epochs
    where = f"on {processes} GPU(s)" if torch.cuda.is_available() else "in one process"
    if every > batches:
        reason = f"{batches} batches an epoch {where}, accumulative_counts={every}: no update has so many"
        yield Finding("schedule", FAIL, reason, "lower train_dataloader.batch_size or accumulative_counts")
        return
    if refused := Finding.refusals("schedule", "", check_schedule_unit, cfg):
        yield from refused
        return
    yield from _warm_up(cfg, updates, where)
    wanted = (cfg.get("auto_scale_lr") or {}).get("base_batch_size")
    given = (cfg.train_dataloader.get("batch_size") or 1) * every * processes
    if wanted and given != wanted and not cfg.auto_scale_lr.get("enable"):
        reason = f"the learning rate is meant for {wanted} samples an update, {where} it gets {given}"
        remedy = "train with --auto-scale-lr, or change optim_wrapper.accumulative_counts"
        yield Finding("learning rate", WARN, reason, remedy)
    samples = len(cast(Sized, loader.dataset))
    reason = f"{samples:,} samples, {batches:,} batches an epoch, {updates:,} updates {where}"
    yield Finding("schedule", OK, reason)


def _warm_up(cfg: Config, updates: int, where: str) -> Iterator[Finding]:
    for each in schedules_of(cfg):
        end = each.get("end") or 0
        if each.get("by_epoch", True) or each.get("begin") or end < updates / 2:
            continue
        reason = f"{each['type']} lasts {end} updates, the whole run {where} makes {updates}"
        yield Finding("warm-up", WARN, reason, "lower its end in param_scheduler, or train longer")
