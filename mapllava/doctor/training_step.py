"""One step of training on one batch, with the gradient norm of every group of the optimiser."""

from __future__ import annotations

import math
import resource
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mapllava.checkpoint import count_parameters, start_weights
from mapllava.doctor.context import Context
from mapllava.doctor.machine import SHM
from mapllava.doctor.memory import Device, device
from mapllava.doctor.weights import absent, localised
from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.engine.runner.out_of_memory import is_out_of_memory, memory_advice
from mapllava.engine.runner.second_look import tensors_in, watch_nonfinite
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, WARN, Finding
from mapllava.registry import MODELS
from mapllava.resources import gigabytes
from mapllava.structures.map_data_sample import sample_names

_NAMED = 5
_TIGHT = 0.92  # of the GPU's memory
_PREFETCH = 2  # batches per loading process, PyTorch's default
_BATCH = "the batch as the model gets it"


def step(context: Context) -> Iterator[Finding]:
    """Build the model, take a batch, go forward and back and update the weights; nothing is written."""
    cfg, place = context.cfg, device()
    missing = absent(cfg)
    if missing:
        reason = f"not made: {', '.join(missing)} must be downloaded first"
        yield Finding("step", FAIL, reason, "hf download NAME; or leave the step out: --no-step")
        return
    seed = (cfg.get("randomness") or {}).get("seed") or 0
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what transforms draw from
    model: Any = _build(cfg)
    try:
        model = model.to(place.name).train()
        yield from _train(model, context, place)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        size = cfg.train_dataloader.get("batch_size", 1)
        reason = f"out of memory on {place.title} ({gigabytes(place.memory)}) with batches of {size}"
        yield Finding("step", FAIL, reason, "\n".join(memory_advice(cfg)))


def _build(cfg: Any) -> nn.Module:
    try:
        model: Any = MODELS.build(localised(cfg.model))
        start_weights(model)
    except (TypeError, ValueError, KeyError) as error:
        raise MapLLaVAError(f"the model cannot be built: {error}") from error
    return model


def _train(model: Any, context: Context, place: Device) -> Iterator[Finding]:
    cfg = context.cfg
    batch = next(iter(context.train_loader))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    wrapper.initialize_count_status(model, 0, 1)
    total, trainable = count_parameters(model)
    yield Finding("model", OK, f"{type(model).__name__}: {total:,} parameters, {trainable:,} trainable")
    began = time.perf_counter()
    with wrapper.optim_context(model):
        data = model.data_preprocessor(batch, True)
    values, loss = _losses(model, wrapper, data)
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        where = _first_nonfinite(model, wrapper, data) or "the losses"
        samples = _list(sample_names(batch)) or "unnamed"
        reason = f"not finite: {', '.join(wrong)}; first in {where}; samples {samples}"
        remedy = "look at these samples' labels and at that part's settings; try optim_wrapper.dtype=None"
        if where.startswith(_BATCH):
            remedy = "look at model.data_preprocessor's mean and std, and at what the pipeline makes of them"
        yield Finding("losses", FAIL, reason, remedy)
        return
    listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items() if "." not in name)
    yield Finding("losses", OK, listed)
    wrapper.backward(loss)
    gradients = list(_gradients(model, wrapper))
    yield from gradients
    if any(finding.status == FAIL for finding in gradients):
        return
    wrapper.step()
    if place.name == "cuda":
        torch.cuda.synchronize()
    yield _cost(cfg, place, time.perf_counter() - began)
    yield from _handing_over(cfg, batch)


def _losses(model: Any, wrapper: Any, data: Mapping[str, Any]) -> tuple[dict[str, float], Tensor]:
    """Every term, and their sum; a forward pass that stumbles over something not finite is such a term."""
    try:
        with wrapper.optim_context(model):
            loss, terms = model.parse_losses(model(**data, mode="loss"))
    except Exception as error:
        if is_out_of_memory(error) or not _first_nonfinite(model, wrapper, data):
            raise
        text = " ".join(str(error).split())
        return {f"forward pass ({type(error).__name__}: {text})": math.nan}, torch.tensor(math.nan)
    return {name: float(value.detach()) for name, value in terms.items()}, loss


def _gradients(model: nn.Module, wrapper: Any) -> Iterator[Finding]:
    """The norm of every group; parameters that get none, or something that is no number, are named."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scaler = getattr(wrapper, "scaler", None)
    scale = 1.0 if scaler is None else float(scaler.get_scale())
    for index, group in enumerate(wrapper.optimizer.param_groups):
        label = f"gradients {group.get('name', index)}"
        gradients = {names[id(each)]: each.grad for each in group["params"]}
        without = [name for name, grad in gradients.items() if grad is None]
        wrong = [name for name, grad in gradients.items() if grad is not None and not grad.isfinite().all()]
        if wrong:
            reason = f"not finite in {len(wrong)} parameters, first {_list(wrong)}"
            yield Finding(label, FAIL, reason, "lower the loss scale or try optim_wrapper.dtype=None")
            continue
        if without:
            reason = f"{len(without)} of {len(gradients)} parameters get none: {_list(without)}"
            remedy = "freeze them, or use them: several processes would wait for them"
            yield Finding(label, FAIL, reason, remedy)
            continue
        norm = math.sqrt(sum(float(grad.float().square().sum()) for grad in gradients.values())) / scale
        count = sum(grad.numel() for grad in gradients.values())
        reason = f"norm {norm:.3g}, {count:,} parameters, lr {group['lr']:.2g}"
        if norm == 0:
            yield Finding(label, WARN, f"{reason}: nothing reaches them", "see which part cuts the gradient")
        else:
            yield Finding(label, OK, reason)


def _first_nonfinite(model: nn.Module, wrapper: Any, data: Mapping[str, Any]) -> str:
    """The first module to give something that is no number, in a second pass; empty if none does."""
    inputs = data.get("inputs")
    named = inputs.items() if isinstance(inputs, Mapping) else [("", inputs)]
    for name, value in named:
        if not all(each.isfinite().all() for each in tensors_in(value)):
            return f"{_BATCH} (inputs.{name})"
    quiet = suppress(Exception)  # the first pass has told
    with watch_nonfinite(model) as found, quiet, torch.no_grad(), wrapper.optim_context(model):
        model(**data, mode="loss")
    return found.forward or ""


def _cost(cfg: Any, place: Device, seconds: float) -> Finding:
    size = cfg.train_dataloader.get("batch_size", 1)
    if place.name == "cuda":
        peak = torch.cuda.max_memory_reserved()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    reason = f"{seconds:.1f} s for {size} samples, peak {gigabytes(peak)} of {gigabytes(place.memory)}"
    if peak > _TIGHT * place.memory:
        return Finding("step", WARN, f"{reason}: other batches may not fit", "\n".join(memory_advice(cfg)))
    return Finding("step", OK, reason)


def _handing_over(cfg: Any, batch: Any) -> Iterator[Finding]:
    """Batches in flight between loading processes and this one, against shared memory."""
    workers = int(cfg.train_dataloader.get("num_workers", 0))
    if not workers or not SHM.is_dir():
        return
    size = sum(value.nbytes for value in tensors_in(batch["inputs"] if isinstance(batch, Mapping) else None))
    ahead = workers * int(cfg.train_dataloader.get("prefetch_factor") or _PREFETCH)
    needed = size * (ahead + accumulative_counts(cfg.optim_wrapper) - 1)
    free = shutil.disk_usage(SHM).free
    reason = f"{workers} loading process(es) keep up to {gigabytes(needed)} in {SHM}, {gigabytes(free)} free"
    remedy = "start the container with --shm-size=8g or --ipc=host, or lower train_dataloader.num_workers"
    yield Finding("loading", FAIL if needed > free else OK, reason, remedy if needed > free else "")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
