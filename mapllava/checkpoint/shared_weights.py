"""One copy of a model's weights in memory for two modules that compute with them."""

from __future__ import annotations

from torch import nn

from mapllava.checkpoint.packed import packed_layers

_LORA, _WRAPPED = ".lora_", ".base_layer"  # in the names of peft's layers


def share_weights(module: nn.Module, held: nn.Module, prefix: str = "") -> set[str]:
    """Put another module's weights where this one has the same ones.

    The modules stay two: what is done to one of them, such as adapters, a mode or a config, the other does
    not see, so nothing has to be switched between their uses, and an error in one leaves the other as it is.
    Only weights that nobody trains may be shared, and both modules must stay on one device.

    Args:
        module: changed in place; its weights may be on the meta device.
        held: whose weights are in memory; perhaps with adapters, which stay its own. A packed layer is shared
            whole, since its scales come and go with it.
        prefix: where ``held`` would be in ``module``: ``model.``, or nothing.

    Returns:
        keys of ``module``'s state that are shared now; a weight of another shape or dtype is not.
    """
    weights = {
        prefix + name.replace(f"{_WRAPPED}.", "."): weight
        for name, weight in held.named_parameters()
        if _LORA not in name
    }
    shared = set()
    for name, own in list(module.named_parameters(remove_duplicate=False)):
        weight = weights.get(name)
        if weight is not None and (weight.shape, weight.dtype) == (own.shape, own.dtype):
            _put(module, name, weight)
            shared.add(name)
    there = dict(module.named_modules())
    packed = set(map(id, packed_layers(held)))
    for name, layer in held.named_modules():
        path = prefix + name.removesuffix(_WRAPPED)
        if id(layer) in packed and path in there:
            _put(module, path, layer)
            shared.update(f"{path}.{key}" for key in layer.state_dict())
    return shared


def _put(module: nn.Module, name: str, what: nn.Module | nn.Parameter) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, what)
