"""Initial weights: a part has them from its constructor, and starting a training run leaves them alone.

The one thing that happens later is what a config asks MMEngine for, the ``init_cfg`` of a
``BaseModule``, and what such a module does in an ``init_weights`` of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import nn

from mapllava.checkpoint.fit import check_fit, is_below
from mapllava.checkpoint.plain_file import read_plain
from mapllava.errors import MapLLaVAError


def keep_built(module: nn.Module) -> list[str]:
    """Mark modules that are not MMEngine's as initialised, which they are since they were built.

    ``BaseModule.init_weights`` calls a method of that name wherever it finds one below it. Those of
    transformers, timm and others draw anew what has been loaded or added since: LoRA's zeros, say.

    Args:
        module: with everything below it.

    Returns:
        the outermost modules that were marked now; not those within them.
    """
    marked: list[str] = []
    for name, child in module.named_modules():
        if not isinstance(child, BaseModule) and hasattr(child, "init_weights"):
            if not getattr(child, "is_init", False) and not any(is_below(name, outer) for outer in marked):
                marked.append(name)
            child.is_init = True  # type: ignore[assignment]
    return marked


def start_weights(model: nn.Module) -> None:
    """Give a model the weights that training starts from; what was built or loaded stays.

    Args:
        model: the unwrapped model.

    Raises:
        MapLLaVAError: if an ``init_cfg`` would draw loaded weights or adapters anew, or the file it
            names does not fill its module.
    """
    kept = keep_built(model)
    if kept:
        print_log(
            f"init_weights is called of MMEngine's BaseModules; as they were built stay {', '.join(kept)}",
            logger="current",
        )
    draw = getattr(model, "init_weights", None)
    if draw is not None:
        draw()


def initialise(module: nn.Module, path: str = "") -> None:
    """Do what the ``init_cfg`` of MMEngine's modules say, from the outermost to the innermost.

    Unlike ``BaseModule.init_weights`` this reaches modules inside plain ones, and needs no mean of
    every parameter, which 4- and 8-bit ones do not have.

    Args:
        module: with everything below it; a module that has been initialised is left alone.
        path: where it is in the model, for messages.

    Raises:
        MapLLaVAError: see :func:`start_weights`.
    """
    if isinstance(module, BaseModule) and module.is_init:
        return
    drawn, loaded = _split(module)
    if drawn:
        _refuse_to_redraw(module, path)
        initialize(module, drawn)
    for name, child in module.named_children():
        if _has_own_way(child):
            if not child.is_init:
                child.init_weights()
        else:
            initialise(child, f"{path}.{name}" if path else name)
    for each in loaded:
        _load(module, each, path)
    if isinstance(module, BaseModule):
        module.is_init = True


def _has_own_way(module: nn.Module) -> TypeGuard[BaseModule]:
    return isinstance(module, BaseModule) and type(module).init_weights is not BaseModule.init_weights


def _split(module: nn.Module) -> tuple[list[Any], list[Any]]:
    """A module's ``init_cfg``: what draws, and what loads, which MMEngine does last."""
    given = module.init_cfg if isinstance(module, BaseModule) else None
    configs = [given] if isinstance(given, Mapping) else list(given or [])
    loads = [each for each in configs if each.get("type") in ("Pretrained", PretrainedInit)]
    return [each for each in configs if each not in loads], loads


def _refuse_to_redraw(module: nn.Module, path: str) -> None:
    held = [
        name
        for name, child in module.named_modules()
        if hasattr(child, "load_report") or hasattr(child, "base_layer")  # peft's layers have the latter
    ]
    if held:
        raise MapLLaVAError(
            f"{path or 'model'}.init_cfg would draw anew what was loaded or are adapters "
            f"({', '.join(held[:3])}): give init_cfg to the parts that start at random, or leave it out"
        )


def _load(module: nn.Module, config: Mapping[str, Any], path: str) -> None:
    """Fill a module from the checkpoint that ``init_cfg=dict(type='Pretrained')`` names, all of it."""
    name, prefix = str(config["checkpoint"]), str(config.get("prefix") or "")
    prefix = f"{prefix.rstrip('.')}." if prefix else ""
    content = read_plain(name)
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    names = {key: key.removeprefix("module.") for key in tensors}
    state = {new.removeprefix(prefix): tensors[key] for key, new in names.items() if new.startswith(prefix)}
    expected = {key: value for key, value in module.state_dict().items() if "num_batches_tracked" not in key}
    found = {key: value for key, value in state.items() if key in expected}
    where = f"{path or 'model'}.init_cfg: '{name}'"
    try:
        check_fit(found, expected, ())
    except MapLLaVAError as error:
        raise MapLLaVAError(f"{where}: {error}") from error
    module.load_state_dict({**module.state_dict(), **found})
    print_log(
        f"{where}: {len(found)} tensors loaded, {len(state) - len(found)} of other parts left out",
        logger="current",
    )
