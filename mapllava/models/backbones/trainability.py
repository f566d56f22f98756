"""Which weights of a backbone train, and how frozen ones are stored: LoRA and quantisation.

Combinations: ``frozen=False`` trains everything; ``frozen=True`` nothing; with ``lora`` adapters
train on the frozen base; with ``quantization`` the frozen base is held in 4 or 8 bits, with or
without adapters. peft and bitsandbytes are imported when a config asks for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mapllava.config.mistake import check_names, check_sizes
from mapllava.errors import MapLLaVAError

ALL_LINEAR = "all-linear"
_LORA_KEYS = ("rank", "alpha", "targets", "dropout")  # the last may be left out
_FLOATS = ("bfloat16", "float16", "float32")


def check_trainability(
    component: str, frozen: bool, lora: Mapping | None, quantization: Mapping | None
) -> None:
    """Refuse settings that contradict each other or are out of range.

    Args:
        component: what the message calls it.
        frozen: whether the base weights stay as they are.
        lora: ``rank``, ``alpha``, ``targets`` (``"all-linear"`` or a list of endings of module
            names) and ``dropout`` (0 if absent), or None.
        quantization: ``bits`` (4 or 8) and, with 4 bits, ``compute_dtype``; or None.

    Raises:
        MapLLaVAError: naming the setting and what to write instead.
    """
    for name, given in (("lora", lora), ("quantization", quantization)):
        if given is not None and not isinstance(given, Mapping):
            raise MapLLaVAError(f"{component}: {name} is {given!r}: write {name}=dict(…), or None")
    if lora is not None:
        _check_lora(component, lora)
        if not frozen:
            raise MapLLaVAError(
                f"{component}: lora adds adapters to a frozen base, but frozen=False trains all of it: set "
                "frozen=True, or lora=None"
            )
    if quantization is not None:
        _check_quantization(component, quantization)
        if not frozen:
            raise MapLLaVAError(
                f"{component}: {quantization['bits']}-bit weights cannot be trained: set frozen=True (with "
                "lora=dict(…) to train adapters on them), or quantization=None"
            )


def quantize_(backbone: nn.Module, quantization: Mapping[str, Any]) -> None:
    """Store the weights of the linear layers of a backbone in 4 or 8 bits, layer by layer.

    Weights are packed on the device they are on; those on the meta device when the loader brings
    them. Embeddings, vocabulary head, norms, convolutions and biases stay as they are.

    Args:
        backbone: changed in place.
        quantization: as checked by :func:`check_trainability`.

    Raises:
        MapLLaVAError: if bitsandbytes is not installed.
    """
    _require("bitsandbytes", "quant", "quantization")
    from mapllava.models.backbones.quantized_linear import Int8Linear, NF4Linear

    linears = [(name, module) for name, module in _linears(backbone) if type(module) is nn.Linear]
    for name, linear in linears:
        if quantization["bits"] == 4:
            chosen = quantization.get("compute_dtype")
            compute_dtype = linear.weight.dtype if chosen is None else getattr(torch, chosen)
            packed: nn.Module = NF4Linear(linear, compute_dtype)
        else:
            packed = Int8Linear(linear)
        parent, _, leaf = name.rpartition(".")
        setattr(backbone.get_submodule(parent), leaf, packed.train(linear.training))
    setattr(backbone, f"is_loaded_in_{quantization['bits']}bit", True)  # what peft looks for


def add_lora(backbone: nn.Module, lora: Mapping[str, Any], component: str, adapter: str = "default") -> None:
    """Freeze a backbone and add low-rank adapters, in float32 and the only thing that trains.

    The second matrix of an adapter starts at zero, so that nothing changes at first.

    Source: LoRA, arXiv:2106.09685, in peft's implementation.

    Args:
        backbone: changed in place.
        lora: as checked by :func:`check_trainability`.
        component: what a message calls it.
        adapter: what its weights are called, ``….lora_A.<adapter>.weight``, so that a base may have several.

    Raises:
        MapLLaVAError: if peft is not installed, or a target matches no linear layer.
    """
    targets = _targets(backbone, lora["targets"], component)
    peft = _require("peft", "lora", "lora")
    config = peft.LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora.get("dropout", 0.0),
        target_modules=targets,
        bias="none",
    )
    backbone.requires_grad_(False)
    peft.inject_adapter_in_model(config, backbone, adapter_name=adapter)
    # peft gives adapters the base's dtype; small updates of bfloat16 weights would be rounded away
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad and "lora_" in name:
            parameter.data = parameter.data.float()


def train_adapters(backbone: nn.Module, mode: bool) -> None:
    """Set the mode of adapters' dropout, the only part of a frozen backbone that has one."""
    for module in backbone.modules():
        dropout = getattr(module, "lora_dropout", None)
        if isinstance(dropout, nn.Module):
            dropout.train(mode)


def _check_lora(component: str, lora: Mapping[str, Any]) -> None:
    check_names(f"{component}.lora", lora, _LORA_KEYS)
    missing = [key for key in _LORA_KEYS[:3] if key not in lora]
    if missing:
        raise MapLLaVAError(
            f"{component}: lora has no {', no '.join(missing)}: write for instance "
            "dict(rank=16, alpha=32, dropout=0.05, targets=['q_proj', 'v_proj'])"
        )
    rank, alpha, dropout, targets = lora["rank"], lora["alpha"], lora.get("dropout", 0.0), lora["targets"]
    check_sizes(f"{component}.lora", rank=rank)
    if not isinstance(alpha, int | float) or alpha <= 0:
        raise MapLLaVAError(
            f"{component}: lora.alpha is {alpha!r}: use a positive number, such as {2 * rank}"
        )
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise MapLLaVAError(f"{component}: lora.dropout is {dropout!r}: use a rate in [0, 1)")
    named = isinstance(targets, (list, tuple)) and all(isinstance(target, str) for target in targets)
    if not targets or not (named or targets == ALL_LINEAR):
        raise MapLLaVAError(
            f"{component}: lora.targets is {targets!r}: use '{ALL_LINEAR}', or a list such as "
            "['q_proj', 'v_proj']"
        )


def _check_quantization(component: str, quantization: Mapping[str, Any]) -> None:
    check_names(f"{component}.quantization", quantization, ("bits", "compute_dtype"))
    bits, compute_dtype = quantization.get("bits"), quantization.get("compute_dtype")
    if bits not in (4, 8):
        raise MapLLaVAError(f"{component}: quantization.bits is {bits!r}: use 4 (NF4) or 8 (LLM.int8())")
    if compute_dtype is not None and bits == 8:
        raise MapLLaVAError(
            f"{component}: quantization.compute_dtype is for bits=4; with 8 bits products are of integers"
        )
    if compute_dtype is not None and compute_dtype not in _FLOATS:
        raise MapLLaVAError(
            f"{component}: quantization.compute_dtype is {compute_dtype!r}: use one of {', '.join(_FLOATS)}"
        )


def _targets(backbone: nn.Module, wanted: str | list[str], component: str) -> list[str]:
    """Full names of the linear layers that the targets mean."""
    linears = [name for name, _ in _linears(backbone)]
    if isinstance(wanted, str):
        if not linears:
            raise MapLLaVAError(
                f"{component}: lora.targets is '{ALL_LINEAR}', but it has no linear layer: leave lora out "
                "(frozen=False trains all of it)"
            )
        return linears
    matches = {target: [name for name in linears if f".{name}".endswith(f".{target}")] for target in wanted}
    idle = [target for target, names in matches.items() if not names]
    if idle:
        endings = sorted({name.rpartition(".")[2] for name in linears})
        raise MapLLaVAError(
            f"{component}: no linear layer is called {', '.join(idle)} (lora.targets); there are "
            f"{', '.join(endings)}"
        )
    return sorted({name for names in matches.values() for name in names})


def _linears(backbone: nn.Module) -> list[tuple[str, nn.Module]]:
    """Linear layers and their names; a vocabulary head is none: it stays as it is, and perhaps tied."""
    head = getattr(backbone, "get_output_embeddings", lambda: None)()
    found = [(name, each) for name, each in backbone.named_modules() if isinstance(each, nn.Linear)]
    return [(name, each) for name, each in found if each is not head]


def _require(module: str, extra: str, setting: str) -> Any:
    """Import an optional package.

    Raises:
        MapLLaVAError: with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MapLLaVAError(
            f"{setting}=dict(…) needs {module} ({error}): pip install 'mapllava[{extra}]', or in a checkout "
            f"pip install -r requirements/{extra}.txt"
        ) from error
