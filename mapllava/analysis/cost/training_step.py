"""One training step as the runner makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mapllava.registry import OPTIM_WRAPPER_CONSTRUCTORS


def build_optimizer(model: nn.Module, optim_wrapper: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser of a config, in its groups.

    Args:
        model: the model.
        optim_wrapper: the config's ``optim_wrapper``.
    """
    build: Any = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {
            "type": optim_wrapper.get("constructor", "DefaultOptimWrapperConstructor"),
            "optim_wrapper_cfg": {"optimizer": dict(optim_wrapper["optimizer"])},
            "paramwise_cfg": optim_wrapper.get("paramwise_cfg"),
        }
    )
    return build(model).optimizer


@contextmanager
def exchanged(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute of a module or an object for the while."""
    own = vars(owner).get(name)  # an object may have it of its class alone
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def training_step(model: Any, batch: dict[str, Any], dtype: str | None, cache: bool = True) -> None:
    """Preprocess, forward, losses, backward; gradients stay in the parameters.

    Args:
        model: the detector on its device.
        batch: as the data loader gives it.
        dtype: of autocast, None for full precision.
        cache: keep autocast's copies of the weights until the forward pass ends, as PyTorch does.
    """
    data = model.data_preprocessor(batch, True)
    device, lower = data["inputs"]["img"].device.type, None if dtype is None else getattr(torch, dtype)
    with torch.autocast(device, dtype=lower, enabled=dtype is not None, cache_enabled=cache):
        losses = model(data["inputs"], data["data_samples"], mode="loss")
        loss = torch.stack(list(losses.values())).sum()
    loss.backward()
