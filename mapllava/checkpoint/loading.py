"""Pretrained tensors into a module: every one accounted for, or an error that lists the keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mapllava.checkpoint.fit import listing
from mapllava.checkpoint.key_tables import KeyTable
from mapllava.checkpoint.packed import PackedLayer
from mapllava.checkpoint.source import WeightSource
from mapllava.errors import MapLLaVAError


@dataclass
class LoadReport:
    """What became of a file's tensors and of a component's.

    Attributes:
        component: e.g. ``Q-Former``.
        source: folder or hub id.
        loaded: names in the component that got their tensor.
        left_out: parts that the file's other tensors belong to, and how many each.
        interpolated: those of ``loaded`` that are fitted to each size of image.
        held: how many were in memory already, and were not read.
    """

    component: str
    source: str
    loaded: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    interpolated: list[str] = field(default_factory=list)
    held: int = 0

    def __str__(self) -> str:
        text = f"{self.component} weights loaded: {len(self.loaded)} tensors from {self.source}"
        text += f", {self.held} in memory already" if self.held else ""
        others = ", ".join(f"{part} ({count})" for part, count in sorted(self.left_out.items()))
        return text + (f"; left out, of other parts: {others}" if others else "")


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Modules built inside have parameters without memory, and buffers with their values.

    For building what a file is about to fill: no random initialisation, no second copy. Buffers
    (rotary frequencies, position ids) are computed as usual, since files do not have them.
    """

    def to_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> Any:
        if parameter is None or parameter.is_meta:
            return parameter
        return nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(to_meta)
    try:
        yield
    finally:
        handle.remove()


def load_weights(
    module: nn.Module, source: WeightSource, table: KeyTable, held: Collection[str] = ()
) -> LoadReport:
    """Fill all parameters and persistent buffers of a module from weight files.

    Not by transformers' ``from_pretrained``: it takes NaN and whole numbers for weights, leaves the model
    mapped onto the files, refuses the meta device, and packs only into layers that load no packed state.
    Tensors are read one at a time and take the dtype and, unless it is the meta device, the
    device of what they fill.

    Args:
        module: what to fill; its parameters may be on the meta device.
        source: the files.
        table: how their keys map to the module's.
        held: names in the module whose tensors are there already, and are not read.

    Returns:
        the report, already logged.

    Raises:
        MapLLaVAError: if a tensor of the module is missing in the files, a tensor of the files has
            no place, or shapes differ; the keys are listed.
    """
    targets = dict(module.state_dict(keep_vars=True))
    # a tensor that config.json ties to another need not be in the files, and is the other's where it is
    tied: dict[str, str] = dict(getattr(module, "all_tied_weights_keys", None) or {})
    copies: dict[str, Tensor] = {}
    report = LoadReport(table.component, source.name)
    found = set(held)
    unexpected: list[str] = []
    twice: list[str] = []
    mismatched: list[str] = []
    # transformers' own list of buffers that older files hold
    ignored = [re.compile(each) for each in getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()]
    for key, read in source.tensors(lambda key: table.rename(key) is not None):
        name = table.rename(key)
        if name is None:
            report.left_out[table.left_out(key)] += 1
        elif name not in targets and any(pattern.search(key) for pattern in ignored):
            report.left_out["buffers of older versions"] += 1
        elif name not in targets or read is None:
            unexpected.append(key)
        elif name in held:
            report.held += 1
        elif name in found:
            twice.append(key)
        elif name in tied:
            copies[name] = read()
        else:
            tensor = read()
            misfit = _misfit(tensor, targets[name])
            if misfit is not None:
                mismatched.append(f"{key} {misfit}")
                continue
            _place(module, name, targets[name], tensor)
            found.add(name)
            report.loaded.append(name)
    new = [name for name in targets if name not in found and table.starts_new(name)]
    _start(module, new)
    if tied:
        module.tie_weights()  # type: ignore[operator]
    filled = module.state_dict(keep_vars=True)
    untied = [name for name, copy in copies.items() if not _same(copy, filled[name])]
    problems = {
        "missing in the files": [name for name in targets if name not in {*found, *tied, *new}],
        "in the files but unknown here": unexpected,
        "in the files under two names": twice,
        "of another shape, type or content": mismatched,
        "other than the tensor that config.json ties them to (tie_word_embeddings)": untied,
    }
    if any(problems.values()):
        raise MapLLaVAError(
            f"{table.component}: {len(report.loaded)} tensors of {source.name} fit, but\n"
            f"{listing(problems)}\nThe files are of another model or another version: name the right one in "
            "'pretrained'."
        )
    print_log(str(report), logger="current")
    return report


def load_tensor(source: WeightSource, table: KeyTable) -> Tensor:
    """The single tensor that a table keeps, e.g. BLIP-2's query tokens.

    Raises:
        MapLLaVAError: if the files do not have exactly one such tensor.
    """
    listed = source.tensors(lambda key: table.rename(key) is not None)
    found = [read() for _, read in listed if read is not None]
    if len(found) != 1:
        raise MapLLaVAError(
            f"{table.component}: expected one tensor in {source.name}, found {len(found)}; "
            "is this the right model?"
        )
    return found[0]


def _start(module: nn.Module, names: list[str]) -> None:
    """Give layers that no file has the values that their class starts with, where they have no memory yet."""
    for path in dict.fromkeys(name.rpartition(".")[0] for name in names):
        layer: Any = module.get_submodule(path)
        if any(each.is_meta for each in layer.parameters(recurse=False)):
            layer.to_empty(device=torch.get_default_device(), recurse=False)
            layer.reset_parameters()


def _misfit(tensor: Tensor, target: Tensor) -> str | None:
    """Why a file's tensor is not for a place, or None."""
    if tensor.shape != target.shape:
        return f"{tuple(tensor.shape)}, expected {tuple(target.shape)}"
    if target.is_floating_point() and not (tensor.is_floating_point() and tensor.element_size() > 1):
        return f"of {tensor.dtype}, expected a floating-point type of 16 bits or more"
    if tensor.is_floating_point() and not tensor.is_meta and not _is_finite(tensor):
        return "with NaN or infinity in it"
    return None


def _same(tensor: Tensor, other: Tensor) -> bool:
    if tensor.is_meta or other.is_meta:
        return tensor.shape == other.shape
    return torch.equal(tensor.to(device=other.device, dtype=other.dtype), other)


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are; a sum is one pass without memory, and decides unless it overflows."""
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def _place(module: nn.Module, name: str, target: Tensor, tensor: Tensor) -> None:
    """Put a tensor where ``name`` says; a target on the meta device is replaced.

    A packed layer stores its weight in a format of its own.
    """
    if not target.is_meta:
        with torch.no_grad():
            target.copy_(tensor)
        return
    parent_name, _, leaf = name.rpartition(".")
    value = tensor.to(device=torch.get_default_device(), dtype=target.dtype, copy=True)
    parent = module.get_submodule(parent_name)
    if leaf == "weight" and isinstance(parent, PackedLayer):
        parent.take_weight(value)
        return
    if isinstance(target, nn.Parameter):
        setattr(parent, leaf, nn.Parameter(value, requires_grad=target.requires_grad))
    else:
        setattr(parent, leaf, value)
