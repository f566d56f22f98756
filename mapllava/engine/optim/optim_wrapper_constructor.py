"""Parameter groups: what decays, and who learns how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mapllava.checkpoint.fit import is_below
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.optim.muon_adamw import MATRICES
from mapllava.errors import MapLLaVAError
from mapllava.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

DEFAULT_GROUP = "new"
_EMBEDDING_NAMES = ("embed", "token", "queries", "query", "pos_enc", "reference")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MapOptimWrapperConstructor:
    """Groups parameters by name, and keeps norms, biases and embeddings from decaying.

    ::

        paramwise_cfg=dict(groups=dict(qformer=dict(prefix="neck.qformer", lr_mult=0.1)))

    gives the groups ``qformer`` and ``new`` (everything else), each split into a decaying part and
    ``<name>/no_decay``. Frozen parameters are in no group, so below a frozen language model a group
    has its adapters alone. With ``layer_decay=0.8`` a group is split by layers (``<name>/layer3``), the
    entries of its module lists in their order: the last learns at 0.8 of the group's rate, each one before
    at 0.8 of its successor's, and what lies before the first, such as the embedding of patches, is layer 0
    (arXiv:2106.08254, appendix). ``matrices=dict(min_size=16)`` also puts
    the weights of linear layers and convolutions into ``<name>/matrices``, marked
    ``matrices=True`` for :class:`~mapllava.engine.MuonAdamW`, where neither side (of a kernel:
    outputs, and inputs times its area) is smaller.

    Args:
        optim_wrapper_cfg: The optimiser's wrapper with ``optimizer``, without type meaning
            ``OptimWrapper``.
        paramwise_cfg: ``groups``: name to ``prefix`` (a dotted module path, or a list of them) and
            ``lr_mult``, the longest matching prefix winning, perhaps ``layer_decay``; ``matrices``:
            ``min_size``.

    Raises:
        MapLLaVAError: If an option is unknown or out of range, a prefix matches no parameter, a group with
            ``layer_decay`` has no layers, nothing trains, or the learning rate is no number.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        options = dict(paramwise_cfg or {})
        self.groups = {name: _check_group(name, group) for name, group in options.pop("groups", {}).items()}
        matrices = options.pop("matrices", None)
        if matrices is not None and set(matrices) != {"min_size"}:
            raise MapLLaVAError(f"optim_wrapper.paramwise_cfg.matrices is {dict(matrices)}: give min_size=…")
        self.min_matrix = None if matrices is None else int(matrices["min_size"])
        if options:
            raise MapLLaVAError(
                f"paramwise_cfg has the unknown option(s) {sorted(options)}; it takes 'groups' and 'matrices'"
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build optimiser and wrapper for a model.

        Returns:
            The wrapper; its optimiser's groups carry a ``name``.
        """
        model = unwrap_model(model)
        cfg = dict(self.optim_wrapper_cfg)
        optimizer = dict(cfg.pop("optimizer"))
        rate = optimizer.get("lr")
        if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not math.isfinite(rate):
            raise MapLLaVAError(f"optim_wrapper.optimizer.lr is {rate!r}: give the learning rate as a number")
        optimizer["params"] = self._param_groups(model, rate)
        cfg.setdefault("type", "OptimWrapper")
        built = OPTIMIZERS.build(optimizer)
        for group in built.param_groups:  # an optimiser may have changed the rate, as MuonAdamW does
            count = sum(parameter.numel() for parameter in group["params"])
            print_log(
                f"Parameter group {group['name']}: {count:,} parameters, lr {group['lr']:.2e}", "current"
            )
        return OPTIM_WRAPPERS.build(cfg, default_args={"optimizer": built})

    def _param_groups(self, model: nn.Module, base_lr: float) -> list[dict[str, Any]]:
        names = [name for name, _ in model.named_parameters()]
        for group, options in self.groups.items():
            for prefix in options["prefix"]:
                if not prefix or not any(is_below(name, prefix) for name in names):
                    raise MapLLaVAError(
                        f"optim_wrapper.paramwise_cfg.groups.{group}: no parameter lies below '{prefix}'; "
                        f"the model has {', '.join(child for child, _ in model.named_children())}"
                    )
        layers = {
            (group, name): layer
            for group, options in self.groups.items()
            if options["layer_decay"] is not None
            for prefix in options["prefix"]
            for name, layer in _layers(model, prefix, group).items()
        }
        undecayed = _undecayed(model)
        matrices = set() if self.min_matrix is None else _matrices(model, self.min_matrix)
        groups: dict[str, dict[str, Any]] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            group = self._group_of(name)
            key, rate = group, base_lr * self._lr_mult(group)
            decay = self.groups[group]["layer_decay"] if group in self.groups else None
            if decay is not None:
                layer, behind = layers[group, name]
                key, rate = f"{group}/layer{layer}", rate * decay ** (1 + behind)
            if name in undecayed:
                key = f"{key}/no_decay"
            elif name in matrices:
                key = f"{key}/{MATRICES}"
            entry = groups.setdefault(key, {"params": [], "name": key, "lr": rate})
            if name in undecayed:
                entry["weight_decay"] = 0.0
            elif name in matrices:
                entry[MATRICES] = True
            entry["params"].append(parameter)
        if not groups:
            raise MapLLaVAError("no parameter of the model is trainable: unfreeze a part of it")
        for name in sorted(set(self.groups) - {key.split("/")[0] for key in groups}):
            print_log(f"Parameter group {name}: all of it is frozen", "current")
        return list(groups.values())

    def _group_of(self, name: str) -> str:
        matches = [
            (len(prefix), group)
            for group, options in self.groups.items()
            for prefix in options["prefix"]
            if is_below(name, prefix)
        ]
        return max(matches)[1] if matches else DEFAULT_GROUP

    def _lr_mult(self, group: str) -> float:
        return self.groups[group]["lr_mult"] if group in self.groups else 1.0


def _check_group(name: str, group: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(group) - {"prefix", "lr_mult", "layer_decay"}
    decay = group.get("layer_decay")
    in_range = decay is None or (isinstance(decay, (int, float)) and 0 < decay <= 1)
    if unknown or "prefix" not in group or not in_range:
        raise MapLLaVAError(
            f"optim_wrapper.paramwise_cfg.groups.{name} is {dict(group)}: give prefix=… and lr_mult=…, and "
            "layer_decay above 0 and up to 1, or none"
        )
    prefix = group["prefix"]
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
    return {"prefix": prefixes, "lr_mult": float(group.get("lr_mult", 1.0)), "layer_decay": decay}


def _layers(model: nn.Module, prefix: str, group: str) -> dict[str, tuple[int, int]]:
    """Of every parameter below a prefix: its layer, and how many layers come after that.

    A layer is an entry of a module list that has parameters and no such list inside of it. Plain modules of
    several classes are the parts of one thing, such as norm and convolution of a downsampling. What lies
    between two layers belongs to the one before.
    """
    lists = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and is_below(path, prefix)
        and (len({type(entry) for entry in module}) == 1 or all(list(entry.children()) for entry in module))
    ]
    starts = [
        f"{path}.{entry}"
        for path in lists
        for entry, module in model.get_submodule(path).named_children()
        if next(module.parameters(), None) is not None
        and not any(is_below(other, f"{path}.{entry}") for other in lists)
    ]
    if not starts:
        raise MapLLaVAError(
            f"optim_wrapper.paramwise_cfg.groups.{group}: layer_decay, but no list of layers lies below "
            f"'{prefix}': leave layer_decay out"
        )
    found, layer = {}, 0
    for name, _ in model.named_parameters():
        if is_below(name, prefix):
            inside = [number for number, start in enumerate(starts, 1) if is_below(name, start)]
            layer = max([layer, *inside])
            found[name] = (layer, len(starts) - layer)
    return found


def _matrices(model: nn.Module, min_size: int) -> set[str]:
    """Names of the weights of linear layers and convolutions with no side below ``min_size``."""
    return {
        f"{path}.weight" if path else "weight"
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and min(len(module.weight), module.weight.numel() // max(len(module.weight), 1)) >= min_size
    }


def _undecayed(model: nn.Module) -> set[str]:
    """Names of norms' and embeddings' parameters, biases, and free vectors such as query tokens."""
    names: set[str] = set()
    for path, module in model.named_modules():
        whole = isinstance(module, nn.Embedding) or "Norm" in type(module).__name__
        for own, parameter in module.named_parameters(recurse=False):
            embedding = own not in ("weight", "bias") and any(
                word in own.lower() for word in _EMBEDDING_NAMES
            )
            if whole or embedding or parameter.ndim <= 1:
                names.add(f"{path}.{own}" if path else own)
    return names
