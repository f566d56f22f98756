"""Fully sharded data parallelism: parameters, gradients and optimiser state shared out over processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from mapllava.checkpoint import computed_dtype
from mapllava.engine.distributed.sharding import shard_like, sharding_units
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODEL_WRAPPERS

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TRANSFORMER_BLOCKS = ("GradientCheckpointingLayer",)  # the base of every block in transformers


@MODEL_WRAPPERS.register_module()
class FSDP2Wrapper(nn.Module):
    """Shards a model with ``torch.distributed.fsdp.fully_shard`` (FSDP2).

    Choose it by one line of the config; :class:`~mapllava.engine.MapRunner` does the rest::

        model_wrapper_cfg = dict(type="FSDP2Wrapper", param_dtype="bfloat16")

    Each unit's parameters are whole only while it computes; between steps every process holds its
    share of everything, frozen parameters too. What lies outside of the units is gathered at the
    start of the forward pass and computes in full precision, for geometry and losses are there.

    Args:
        module: The model, the same in every process (given by the runner).
        units: Class names of modules that are gathered together; a base class counts. All
            transformer blocks of transformers by default.
        param_dtype: The dtype in which units are gathered and compute, ``'bfloat16'`` with
            ``optim_wrapper.dtype='bfloat16'``; parameters and optimiser keep their own. None: their own.
        reduce_dtype: The dtype in which units' gradients are added up over processes.
        defer_reduction: While accumulating, keep whole gradients and exchange them with the last
            batch only. False exchanges with every batch, and needs no memory for whole gradients.

    Raises:
        MapLLaVAError: If a dtype or unit is unknown, or the model is quantised.
    """

    def __init__(
        self,
        module: nn.Module,
        units: Sequence[str] = TRANSFORMER_BLOCKS,
        param_dtype: str | None = None,
        reduce_dtype: str | None = "float32",
        defer_reduction: bool = True,
    ) -> None:
        super().__init__()
        _refuse_quantised(module)
        self.param_dtype = param_dtype
        self.defer_reduction = defer_reduction
        self.device_type = torch.device(get_device()).type
        gathered = _dtype(param_dtype, "param_dtype")
        if gathered is not None:
            gathered = computed_dtype(gathered, self.device_type)
        policy = MixedPrecisionPolicy(gathered, _dtype(reduce_dtype, "reduce_dtype"))
        mesh = init_device_mesh(self.device_type, (get_world_size(),))
        for unit in sharding_units(module, units):
            fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        module.to(get_device())  # buffers, and the preprocessor's idea of where it is
        module.register_load_state_dict_pre_hook(_shard_incoming)
        self.module: Any = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own forward pass."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One batch of training; gradients are exchanged where the accumulation is complete.

        Raises:
            MapLLaVAError: If the optimiser's wrapper computes in another dtype than the units.
        """
        dtype = getattr(optim_wrapper, "dtype", None)
        if self.param_dtype is not None and dtype != self.param_dtype:
            raise MapLLaVAError(
                f"model_wrapper_cfg.param_dtype is {self.param_dtype!r}, optim_wrapper.dtype {dtype!r}: "
                "make them the same, or leave param_dtype out"
            )
        self.module.set_requires_gradient_sync(optim_wrapper.should_sync() or not self.defer_reduction)
        return self.module.train_step(data, optim_wrapper)

    def val_step(self, data: Any) -> list:
        """Predictions of a batch, computed as in training."""
        with self._precision():
            return self.module.val_step(data)

    def test_step(self, data: Any) -> list:
        """Predictions of a batch, computed as in training."""
        with self._precision():
            return self.module.test_step(data)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Full precision outside of the units cannot read what units in another dtype write."""
        dtype = _dtype(self.param_dtype, "param_dtype")
        with torch.autocast(self.device_type, dtype=dtype, enabled=dtype not in (None, torch.float32)):
            yield


def _dtype(name: str | None, argument: str) -> torch.dtype | None:
    if name is not None and name not in _DTYPES:
        raise MapLLaVAError(
            f"model_wrapper_cfg.{argument} is {name!r}: use one of {', '.join(_DTYPES)}, or None"
        )
    return None if name is None else _DTYPES[name]


def _refuse_quantised(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if not parameter.is_floating_point():
            raise MapLLaVAError(
                f"FSDP2Wrapper cannot shard quantised weights ({name} is {parameter.dtype}), and such "
                "a base fits each GPU: leave model_wrapper_cfg out (DistributedDataParallel), or quantization"
            )


def _shard_incoming(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Let the model load whole tensors: each process takes its part of them."""
    for name, parameter in module.named_parameters():
        key = prefix + name
        if key in state and state[key].shape == parameter.shape:
            state[key] = shard_like(state[key], parameter)
