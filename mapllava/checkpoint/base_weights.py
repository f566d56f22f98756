"""Which of a model's weights come from elsewhere and need not be in a checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from mapllava.checkpoint.fit import is_below
from mapllava.config.walk import dicts

IDENTITY = ("hash", "dtype", "quantization")
"""What makes base weights the same ones; where they lie does not."""


def base_weight_modules(model: nn.Module, model_cfg: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parts whose weights a constructor loads from pretrained files.

    A part counts when it describes them in an attribute ``base_weights`` (a dict, or None for
    none), or when its config has ``pretrained`` set.

    Args:
        model: The unwrapped model, not its distributed wrapper.
        model_cfg: The model's config, nested as the model is.

    Returns:
        Dotted module path to the description: what the part says of itself; ``dtype`` as its config
        has it, or of its untrained weights; ``quantization`` as its config or an attribute has it, or
        None.
    """
    configured = {path: node for path, node in dicts(model_cfg) if path}
    found: dict[str, Any] = {
        path: {"pretrained": str(node["pretrained"])}
        for path, node in configured.items()
        if node.get("pretrained") and _has(model, path)
    }
    for path, module in model.named_modules():
        description = getattr(module, "base_weights", None)
        if isinstance(description, Mapping) and description:
            found[path] = dict(description)
    for path, description in found.items():
        module, node = model.get_submodule(path), configured.get(path, {})
        quantization = node.get("quantization") or getattr(module, "quantization", None)
        description.setdefault("dtype", node.get("dtype") or _dtype(module))
        description.setdefault("quantization", dict(quantization) if quantization else None)
    return found


def reloadable_keys(model: nn.Module, roots: Mapping[str, Any]) -> set[str]:
    """State-dict keys that the constructor restores: frozen weights below the given modules.

    Trainable parameters and buffers are not among them; the extra entries of quantised weights are.

    Args:
        model: The unwrapped model.
        roots: Module paths, for instance from :func:`base_weight_modules`.
    """
    kept = {
        name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad
    }
    kept.update(name for name, _ in model.named_buffers(remove_duplicate=False))
    return {
        key for key in model.state_dict() if key not in kept and any(is_below(key, root) for root in roots)
    }


def base_differences(
    saved: Mapping[str, Any],
    found: Mapping[str, Any],
    elsewhere: Collection[str],
    fields: Sequence[str] = IDENTITY,
) -> list[str]:
    """How the base weights of a model differ from those that a checkpoint was trained on.

    A part all of whose weights are in the checkpoint needs none, and is not compared.

    Args:
        saved: The checkpoint's ``base_weights``.
        found: The model's, from :func:`base_weight_modules`.
        elsewhere: Keys that the model has from base weights and the checkpoint lacks.
        fields: What is compared; a field that the checkpoint does not state is not.

    Returns:
        One line per difference; it names both.
    """
    lines = []
    for path, then in saved.items():
        if not any(is_below(key, path) for key in elsewhere):
            continue
        now = found.get(path)
        if now is None:
            lines.append(f"{path}: trained on {_name(then)}, built without base weights")
            continue
        other = [key for key in fields if key in then and then[key] != now.get(key)]
        told = ", ".join(f"{key} {_short(then[key])} then, {_short(now.get(key))} now" for key in other)
        if other:
            lines.append(f"{path}: trained on {_name(then)}, found {_name(now)} ({told})")
    return lines


def _name(description: Mapping[str, Any]) -> str:
    name = description.get("id", description.get("pretrained"))
    revision = description.get("revision")
    return f"'{name}'" + (f" at revision {revision[:12]}" if isinstance(revision, str) else "")


def _short(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)


def _dtype(module: nn.Module) -> str | None:
    """The dtype that most of a module's untrained weights have (of all, where all train)."""
    parameters = [p for p in module.parameters() if p.is_floating_point()]
    counts: Counter[str] = Counter()
    for parameter in [p for p in parameters if not p.requires_grad] or parameters:
        counts[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    return counts.most_common(1)[0][0] if counts else None


def _has(model: nn.Module, path: str) -> bool:
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return True
