"""Whole tensors and their shards: which modules are sharded together, gathering, and distributing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from mmengine.dist import is_main_process
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from mapllava.errors import MapLLaVAError


def sharding_units(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The modules whose parameters are gathered and freed together, outermost ones only.

    Args:
        model: The whole model.
        names: Class names; a module counts when its class or one of its bases has that name.

    Raises:
        MapLLaVAError: If a name fits no module; lists the classes there are.
    """
    units: list[nn.Module] = []
    inside: set[nn.Module] = set()
    found: set[str] = set()
    for module in model.modules():
        fitting = {base.__name__ for base in type(module).__mro__}.intersection(names)
        found |= fitting
        if fitting and module not in inside and module is not model:
            units.append(module)
            inside.update(module.modules())
    absent = [name for name in names if name not in found]
    if absent:
        classes = sorted({type(module).__name__ for module in model.modules() if list(module.children())})
        raise MapLLaVAError(
            f"model_wrapper_cfg.units names {', '.join(absent)}, which is no module's class; "
            f"the model has {', '.join(classes)}"
        )
    return units


def local_part(value: Tensor) -> Tensor:
    """This process's part of a sharded tensor, sharing its memory; another tensor as it is."""
    return value.to_local() if isinstance(value, DTensor) else value


def shard_like(whole: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every process holds, placed as another one is; nothing is sent.

    Args:
        whole: The same in every process.
        like: A tensor of the same shape; unless it is sharded, ``whole`` comes back as it is.
    """
    if not isinstance(like, DTensor) or isinstance(whole, DTensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def gather(value: Any) -> Any:
    """A nested structure with whole tensors in place of sharded ones; all processes must call it.

    Args:
        value: Dicts, lists and tuples of tensors and anything else.

    Returns:
        The same structure, the gathered tensors on the CPU; in other processes than the main one
        they are left sharded.
    """
    if isinstance(value, DTensor):
        whole = value.full_tensor().detach()
        return whole.cpu() if is_main_process() else value
    if isinstance(value, Mapping):
        return {key: gather(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(gather(entry) for entry in value)
    return value


def shard_optimizer_state(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """An optimiser's whole state, its tensors placed as the parameters that they belong to.

    Args:
        state: What ``optimizer.state_dict()`` of an unsharded or gathered optimiser gives.
        optimizer: The one that will load it.
    """
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    owner = dict(zip(numbers, parameters, strict=False))  # torch's own loading refuses other lengths
    entries = {
        number: {
            key: shard_like(value, owner[number]) if _shaped_like(value, owner.get(number)) else value
            for key, value in entry.items()
        }
        for number, entry in state["state"].items()
    }
    return {**state, "state": entries}


@contextmanager
def whole_state(
    model: nn.Module, optimizer: Optimizer | None, leave_out: Collection[str] = ()
) -> Iterator[None]:
    """Inside, ``state_dict()`` of a sharded model and its optimiser is that of unsharded ones.

    Not by ``torch.distributed.checkpoint.state_dict``: it gathers the frozen base too, names an optimiser's
    state where an unsharded one's is numbered, and steps an optimiser that has none yet.
    All processes must enter; the main one gets the whole tensors, on the CPU.

    Args:
        model: The sharded model.
        optimizer: Its optimiser, or None where its state is not needed.
        leave_out: Names of the model's state that are neither gathered nor given.
    """
    weights = {name: gather(value) for name, value in model.state_dict().items() if name not in leave_out}

    def give_weights(module: nn.Module, state: dict, prefix: str, metadata: dict) -> None:
        state.clear()
        state.update(weights)

    with ExitStack() as stack:
        stack.callback(model.register_state_dict_post_hook(give_weights).remove)
        if optimizer is not None:
            whole = gather(optimizer.state_dict())
            stack.callback(optimizer.register_state_dict_post_hook(lambda *_: whole).remove)
        yield


def _shaped_like(value: Any, parameter: Tensor | None) -> bool:
    return isinstance(value, Tensor) and parameter is not None and value.shape == parameter.shape
