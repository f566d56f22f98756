"""What a training must have to be one: its parts, something to train for, and a hook that saves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook

from mapllava.config.hooks import hooks_of
from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook
from mapllava.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mapllava.engine.hooks.warmup_ema_hook import WarmupEMAHook
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS, find

_PARTS = ("model", "train_dataloader", "optim_wrapper", "train_cfg")
_ALLOW = "or say without_checkpoints=True, to keep nothing or leave it to a hook of your own"


def check_parts(cfg: Config) -> None:
    """Make sure that a config is one of a training.

    Raises:
        MapLLaVAError: If it lacks model, data, optimiser or loop.
    """
    missing = [key for key in _PARTS if not cfg.get(key)]
    if missing:
        raise MapLLaVAError(
            f"{cfg.filename or 'the config'} sets no {', '.join(missing)}, so that nothing can be trained:\n"
            "inherit them, _base_ = [...], as configs/stage2/synthetic.py does"
        )


def check_saving(cfg: Config) -> None:
    """Make sure that a training ends with files that can be loaded, unless the config says that it need not.

    Raises:
        MapLLaVAError: If it would end before its first epoch, two hooks average its weights, no hook writes
            checkpoints, or those written could not be read again.
    """
    loop = cfg.train_cfg
    for key, what in (("max_epochs", "trained"), ("max_iters", "trained"), ("val_interval", "validated")):
        if loop.get(key) is not None and not (type(loop[key]) is int and loop[key] > 0):  # True is none
            raise MapLLaVAError(f"train_cfg.{key} is {loop[key]!r}: nothing would be {what}; use 1 or more")
    hooks = hooks_of(cfg)
    kinds = [find(HOOKS, hook["type"]) for hook in hooks]
    found = [(kind, hook) for kind, hook in zip(kinds, hooks, strict=True) if isinstance(kind, type)]
    averaging = [kind.__name__ for kind, _ in found if issubclass(kind, (WarmupEMAHook, EMAHook))]
    if len(averaging) > 1:
        raise MapLLaVAError(
            f"{' and '.join(averaging)} both average the weights, and would swap each other's: leave one "
            "out, for instance default_hooks = dict(ema=None)"
        )
    if cfg.get("without_checkpoints"):
        return
    if not any(_saves(kind, hook, loop) for kind, hook in found):
        raise MapLLaVAError(
            "the training would save nothing, as no hook writes checkpoints: set "
            f"default_hooks = dict(checkpoint=dict(type='RunCheckpointHook')), {_ALLOW}"
        )
    if not any(issubclass(kind, SafeCheckpointHook) for kind, _ in found):
        raise MapLLaVAError(
            "the training's checkpoints would not say what they are of (config, prompt, frame, classes, base "
            "weights), as SafeCheckpointHook, which writes that into them, is not there: set "
            f"default_hooks = dict(safe_checkpoint=dict(type='SafeCheckpointHook')), {_ALLOW}"
        )


def _saves(kind: type, hook: Mapping[str, Any], loop: Mapping[str, Any]) -> bool:
    """Whether a hook writes at least one checkpoint of a training."""
    if not issubclass(kind, CheckpointHook):
        return issubclass(kind, RunCheckpointHook)
    interval = hook.get("interval", -1)
    length = loop.get("max_epochs") if hook.get("by_epoch", True) else loop.get("max_iters")
    first = hook.get("save_begin", 0) + interval
    return bool(hook.get("save_last", True)) or (interval > 0 and first <= (length or first))
