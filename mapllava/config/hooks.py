"""The hooks of a config, those of ``default_hooks`` by name and those of ``custom_hooks`` in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mapllava.config.mistake import ALIKE, suggestion
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, Finding

# MMEngine's Runner registers these wherever a config's default_hooks does not name them.
MMENGINE_HOOKS: dict[str, dict[str, Any]] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
}


def hooks_of(cfg: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Configs of all hooks that a run has: MMEngine's own, ``default_hooks`` and ``custom_hooks``.

    Args:
        cfg: A full config, or its JSON. A child config adds a hook with
            ``default_hooks = dict(NAME=dict(type=…))``, changes one with ``dict(NAME=dict(ARGUMENT=…))`` and
            leaves one out with ``dict(NAME=None)``; ``custom_hooks`` is MMEngine's list beside them.

    Raises:
        MapLLaVAError: If ``custom_hooks`` is no list, or ``default_hooks`` no dict, of hooks.
    """
    default, custom = _named(cfg), cfg.get("custom_hooks") or []
    if not isinstance(custom, (list, tuple)):
        raise MapLLaVAError(
            f"custom_hooks is a {type(custom).__name__} and must be a list: hooks with names go into "
            "default_hooks = dict(NAME=dict(type=…)), which adds to that of a base"
        )
    hooks = [*{**MMENGINE_HOOKS, **default}.values(), *custom]
    return [hook for hook in hooks if isinstance(hook, Mapping)]


def hook_slips(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Names in ``default_hooks`` that were meant to be those of other hooks.

    Raises:
        MapLLaVAError: If ``default_hooks`` is no dict.
    """
    named = {**MMENGINE_HOOKS, **_named(cfg)}
    there = {name for name, hook in named.items() if hook is not None and "type" in hook}
    for name in sorted(set(named) - there - set(MMENGINE_HOOKS)):
        meant = suggestion(name, there)
        if named[name] is not None:
            reason = f"default_hooks has no '{name}' that these arguments could go to, and no type is given"
            yield Finding(f"default_hooks.{name}", FAIL, reason, meant or "give its type")
        elif suggestion(name, there, ALIKE):
            yield Finding(f"default_hooks.{name}", FAIL, f"there is no hook '{name}' to leave out", meant)


def _named(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    named = cfg.get("default_hooks") or {}
    if not isinstance(named, Mapping):
        raise MapLLaVAError(f"default_hooks is {named!r}: write default_hooks = dict(NAME=dict(type=…))")
    return named
