"""Which of a model's weights come from elsewhere and need not be in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn


def base_weight_modules(model: nn.Module, model_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parts whose weights a constructor loads from pretrained files.

    A part counts when it describes them in an attribute ``base_weights`` (a dict, or None for
    none), or when its config has ``pretrained`` set.

    Args:
        model: The bare model, not its distributed wrapper.
        model_cfg: The model's config, nested as the model is.

    Returns:
        Dotted module path to the description.
    """
    found = {
        path: {"pretrained": source} for path, source in _configured(model_cfg or {}, "") if _has(model, path)
    }
    for path, module in model.named_modules():
        description = getattr(module, "base_weights", None)
        if isinstance(description, Mapping) and description:
            found[path] = dict(description)
    return found


def reloadable_keys(model: nn.Module, roots: Mapping[str, Any]) -> set[str]:
    """State-dict keys that the constructor restores: frozen weights below the given modules.

    Trainable parameters and buffers are not among them; the extra entries of quantised weights are.

    Args:
        model: The bare model.
        roots: Module paths, for instance from :func:`base_weight_modules`.
    """
    kept = {
        name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad
    }
    kept.update(name for name, _ in model.named_buffers(remove_duplicate=False))
    return {key for key in model.state_dict() if key not in kept and any(_below(key, root) for root in roots)}


def _configured(cfg: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in cfg.items():
        if not isinstance(value, Mapping):
            continue
        inner = f"{path}.{key}" if path else str(key)
        if value.get("pretrained"):
            yield inner, str(value["pretrained"])
        yield from _configured(value, inner)


def _has(model: nn.Module, path: str) -> bool:
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return True


def _below(key: str, root: str) -> bool:
    return not root or key.startswith(f"{root}.")
