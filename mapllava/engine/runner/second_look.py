"""Finds the first module that gives what is no number, and computes a batch once more for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import torch
from mmengine.runner import Runner
from torch import Tensor, nn

from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.hooks.gradient_norm_hook import group_norms
from mapllava.engine.hooks.reproducible_epochs_hook import seed_step


@dataclass
class SecondLook:
    """What a batch does to a model.

    Attributes:
        forward: the first module whose output is not finite, in the order of computation; None: all are.
        backward: the first module, in the order of the backward pass, at whose output, or in whose
            parameters, the gradient is not finite; None: there is none.
        norms: L2 norm of the gradient per group of the optimiser, by its name or number; unscaled, of this
            process and batch alone. Empty for a sharded model.
    """

    forward: str | None = None
    backward: str | None = None
    norms: dict[str, float] = field(default_factory=dict)


def look_again(runner: Runner, batch_idx: int, batch: Any) -> SecondLook:
    """Compute losses and gradients of a batch; weights, buffers and gradients stay as they were.

    Every process must call it, with its own batch, since losses may count over all of them.

    Args:
        runner: The runner, in ``after_train_iter``.
        batch_idx: Number of the batch within the epoch; what the model draws is drawn as before.
        batch: As the dataloader gave it.
    """
    model: Any = unwrap_model(runner.model)
    seed_step(runner, batch_idx)
    with _buffers_kept(model), watch_nonfinite(model) as found:
        with runner.optim_wrapper.optim_context(runner.model):
            data = model.data_preprocessor(batch, True)
            losses = model(**data, mode="loss") if isinstance(data, Mapping) else model(*data, mode="loss")
            total, _ = model.parse_losses(losses)
        if not isinstance(runner.model, FSDP2Wrapper):
            gradients = _gradients(total, model)
            norms = group_norms(runner.optim_wrapper.optimizer, partial(_gradient_or_zero, gradients))
            found.norms = {name: float(norm) for name, norm in norms.items()}
            found.backward = found.backward or _last_broken(gradients, model)
    return found


def _gradients(total: Tensor, model: nn.Module) -> dict[int, Tensor | None]:
    """By the parameter's id; ``autograd.grad`` leaves ``parameter.grad`` and DDP's exchange alone."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(total, trained, allow_unused=True)
    return dict(zip(map(id, trained), found, strict=True))


def _gradient_or_zero(gradients: dict[int, Tensor | None], parameter: Tensor) -> Tensor:
    """A group that is cut off from the loss is told by its norm, 0."""
    found = gradients.get(id(parameter))
    return torch.zeros(()) if found is None else found


def _last_broken(gradients: dict[int, Tensor | None], model: nn.Module) -> str | None:
    """The last module, the first of the backward pass, with parameters whose gradient is not finite."""
    broken = [
        name.rpartition(".")[0]
        for name, parameter in model.named_parameters()
        if (gradient := gradients.get(id(parameter))) is not None and not bool(gradient.isfinite().all())
    ]
    return broken[-1] if broken else None


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Running statistics would count the batch twice."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


@contextmanager
def watch_nonfinite(model: nn.Module) -> Iterator[SecondLook]:
    """Notes, of what is computed inside, the first module that gives something not finite, forward and back.

    Without gradients, forward only.
    """
    found = SecondLook()
    handles = [
        module.register_forward_hook(partial(_note_output, found, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _note_output(found: SecondLook, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
    for value in tensors_in(output):
        if found.forward is None and not bool(value.detach().isfinite().all()):  # nothing is saved of it
            found.forward = name
        if value.requires_grad:
            value.register_hook(partial(_note_gradient, found, name))


def _note_gradient(found: SecondLook, name: str, gradient: Tensor) -> None:
    if found.backward is None and not bool(gradient.isfinite().all()):
        found.backward = name


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Tensors in a nested structure of dicts, lists, tuples and dataclasses."""
    if isinstance(value, Tensor):
        yield value
        return
    if is_dataclass(value):
        value = [getattr(value, each.name) for each in fields(value)]
    elif isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    for entry in value:
        yield from tensors_in(entry)
