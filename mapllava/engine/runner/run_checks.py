"""What a run must have before it starts: its parts, data that are there, a hook that saves what it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook

from mapllava.config.hooks import hooks_of
from mapllava.config.resolve import cached_datasets, leaf_datasets
from mapllava.config.walk import DATALOADERS
from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook
from mapllava.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mapllava.engine.hooks.warmup_ema_hook import WarmupEMAHook
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import rebuild_command
from mapllava.registry import HOOKS, TRANSFORMS, find
from mapllava.structures.frames import MapSpec

_PARTS = ("model", "train_dataloader", "optim_wrapper", "train_cfg")
_ALLOW = "or say without_checkpoints=True, to keep nothing or leave it to a hook of your own"


def check_data(cfg: Config, dataloaders: Sequence[str] = DATALOADERS) -> None:
    """Look for the data root and the GT cache of every data set, and at the transforms on them.

    Args:
        cfg: A config that :func:`mapllava.config.resolve.resolve` has seen.
        dataloaders: The dataloaders that the run will use.

    Raises:
        MapLLaVAError: If a data root is not there (says where it was looked for, how to get it and
            what runs without it), or a GT cache (says the command that makes it); or if a transform cannot
            serve the map specification.
    """
    for name in dataloaders:
        for where, dataset in leaf_datasets(cfg, name):
            root = dataset.get("data_root")
            if root and not Path(root).is_dir():
                raise MapLLaVAError(_no_data_root(where, str(root)))
    for where, dataset, path in cached_datasets(cfg, dataloaders):
        if not path.is_file():
            command = rebuild_command(path, spec=MapSpec.from_config(dict(dataset["map_spec"])))
            raise MapLLaVAError(f"GT cache '{path}' ({where}) is missing; make it first:\n    {command}")
    check_transforms(cfg, dataloaders)


def check_transforms(cfg: Config, dataloaders: Sequence[str] = DATALOADERS) -> None:
    """Ask the transforms of every pipeline that can tell whether they serve the map specification.

    Raises:
        MapLLaVAError: If one cannot; see ``check_map_spec`` of the transforms.
    """
    spec = MapSpec.from_config(dict(cfg.map_spec))
    for name in dataloaders:
        for _, dataset in leaf_datasets(cfg, name):
            for step in dataset.get("pipeline") or []:
                kind = find(TRANSFORMS, step.get("type"))
                if hasattr(kind, "check_map_spec"):
                    TRANSFORMS.build(step).check_map_spec(spec)


def check_validation(cfg: Config) -> None:
    """Make sure that training will validate, unless the config says plainly that it must not.

    Raises:
        MapLLaVAError: If only some of ``val_dataloader``, ``val_cfg`` and ``val_evaluator`` are set.
    """
    parts = {key: cfg.get(key) for key in ("val_dataloader", "val_cfg", "val_evaluator")}
    missing = [key for key, value in parts.items() if value is None]
    if missing and len(missing) < len(parts):
        raise MapLLaVAError(
            f"{', '.join(missing)} not set though {', '.join(set(parts) - set(missing))} is: set all "
            "three, or all three to None to train without validation (and so without best_model.pth)"
        )


def _no_data_root(where: str, root: str) -> str:
    looked = Path(root).expanduser().absolute()
    city = (
        "    make demo          # in a checkout: makes a city and its GT caches, trains and tests\n"
        "  or by hand (the demo's sizes):\n"
        "    mapllava city data/synthetic --version v1.0-trainval \\\n"
        "        --scenes-train 110 --scenes-val 10 --samples-per-scene 20 --image-size 384x216\n"
        "    mapllava cache create --dataroot data/synthetic --version v1.0-trainval --split all\n"
        "    mapllava train stage2/synthetic"
    )
    if "synthetic" in root:
        return f"no synthetic city at {looked} ({where}.data_root). Make it:\n{city}"
    return (
        f"nuScenes was looked for at {looked} ({where}.data_root) and is not there.\n"
        "  Get it: register at https://www.nuscenes.org/nuscenes#download, fetch v1.0-mini (4 GB) or\n"
        "  trainval and the map expansion v1.3, unpack both: the folder holds v1.0-mini/, maps/, samples/.\n"
        "  It lies elsewhere: link it,   ln -s /path/to/nuscenes data/nuscenes\n"
        "  Without it, the synthetic city runs now:\n"
        f"{city}"
    )


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
