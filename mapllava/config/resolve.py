"""Writes what a config says once into every component that needs it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS, METRICS, MODELS
from mapllava.structures.frames import FRAMES, ROI, MapSpec

DATALOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
EVALUATORS = ("val_evaluator", "test_evaluator")
# Arguments of transforms that a part of the model already states: transform -> (argument, model path).
_FROM_MODEL = {"ResamplePolylines": ("num_points", "head.num_points"), "RasterizeBEV": ("cell", "neck.cell")}


def inject_map_spec(cfg: Config) -> Config:
    """Write the top-level ``map_spec`` into model, data sets and metrics, in place.

    Also hands the model's number of points and BEV cell (metres) to the target transforms that do
    not state their own, and the number of epochs to schedules by epoch that state no ``end``, so
    that none is written twice. Components whose constructor takes no
    ``map_spec`` are left alone.

    Args:
        cfg: A full config.

    Returns:
        The same config.

    Raises:
        MapLLaVAError: If ``map_spec`` is missing or not valid, or a component states another one.
    """
    if cfg.get("map_spec") is None:
        raise MapLLaVAError(
            "the config has no top-level map_spec: inherit configs/_base_/map_spec.py, or write "
            "map_spec = dict(frame='lidar', roi=[-15.0, -30.0, 15.0, 30.0], "
            "classes=['divider', 'ped_crossing', 'boundary'])"
        )
    spec = MapSpec.from_config(dict(cfg.map_spec))
    _check_axes(spec)
    for where, registry, component in _components(cfg):
        if not accepts(registry, component.get("type"), "map_spec"):
            continue
        own = component.get("map_spec")
        if own is not None and MapSpec.from_config(dict(own)) != spec:
            raise MapLLaVAError(
                f"{where}.map_spec is {dict(own)}, but the config's map_spec is {spec.to_config()}: "
                f"remove the former, the latter is written there"
            )
        component["map_spec"] = spec.to_config()
    for name in DATALOADERS:
        for _, dataset in leaf_datasets(cfg, name):
            for transform in dataset.get("pipeline") or []:
                _inherit_from_model(transform, cfg.get("model"))
    _end_schedules(cfg)
    return cfg


def _check_axes(spec: MapSpec) -> None:
    """Refuse the usual ROI as it reads in another frame, whose axes point elsewhere."""
    usual = MapSpec().roi.describe()
    right = ROI.parse(usual, spec.frame)
    if spec.roi != right and any(spec.roi == ROI.parse(usual, frame) for frame in FRAMES):
        length, width = spec.roi.length_and_width(spec.frame)
        raise MapLLaVAError(
            f"map_spec.frame is '{spec.frame}', and there map_spec.roi {spec.roi.to_list()} is {length:g} m "
            f"along the car and {width:g} m across it: set map_spec.roi={right.to_list()}, and build the GT "
            f"caches with --frame {spec.frame} --roi {usual}"
        )


def leaf_datasets(cfg: Config | Mapping[str, Any], dataloader: str) -> Iterator[tuple[str, dict]]:
    """The data set configs of one dataloader, below wrappers such as ``ConcatDataset``.

    Args:
        cfg: A full config.
        dataloader: For instance ``train_dataloader``; one the config lacks has no data sets.

    Yields:
        The place in the config and the data set's dict.
    """
    loader = cfg.get(dataloader)
    if isinstance(loader, dict) and isinstance(loader.get("dataset"), dict):
        yield from _unwrap(f"{dataloader}.dataset", loader["dataset"])


def _unwrap(where: str, dataset: dict) -> Iterator[tuple[str, dict]]:
    inner = dataset.get("dataset")
    many = dataset.get("datasets")
    if isinstance(inner, dict):
        yield from _unwrap(f"{where}.dataset", inner)
    elif isinstance(many, (list, tuple)):
        for index, entry in enumerate(many):
            yield from _unwrap(f"{where}.datasets.{index}", entry)
    else:
        yield where, dataset


def _components(cfg: Config) -> Iterator[tuple[str, Registry, dict]]:
    if isinstance(cfg.get("model"), dict):
        yield "model", MODELS, cfg.model
    for name in DATALOADERS:
        for where, dataset in leaf_datasets(cfg, name):
            yield where, DATASETS, dataset
    for name in EVALUATORS:
        evaluator = cfg.get(name)
        if isinstance(evaluator, dict) and "metrics" in evaluator:
            evaluator = evaluator["metrics"]
        metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
        for index, metric in enumerate(metrics):
            if isinstance(metric, dict):
                yield (f"{name}.{index}" if len(metrics) > 1 else name), METRICS, metric


def accepts(registry: Registry, kind: Any, argument: str) -> bool:
    """Whether the class named ``kind`` takes ``argument``, itself or through a parent class."""
    cls = registry.get(kind) if isinstance(kind, str) else kind
    if not inspect.isclass(cls):
        return False
    constructors = (parent.__dict__.get("__init__") for parent in cls.__mro__)
    return any(
        argument in inspect.signature(init).parameters for init in constructors if inspect.isfunction(init)
    )


def _inherit_from_model(transform: Any, model: Any) -> None:
    if not isinstance(transform, dict) or transform.get("type") not in _FROM_MODEL:
        return
    argument, path = _FROM_MODEL[transform["type"]]
    value = model
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is not None:
        transform.setdefault(argument, value)


def _end_schedules(cfg: Config) -> None:
    """A schedule by epoch that names no end lasts as long as the training."""
    epochs = (cfg.get("train_cfg") or {}).get("max_epochs")
    schedulers = cfg.get("param_scheduler") or []
    for scheduler in schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]:
        if not isinstance(scheduler, dict):
            raise MapLLaVAError(f"param_scheduler has {scheduler!r}: give dicts, dict(type=…)")
        if epochs is not None and scheduler.get("by_epoch", True):
            scheduler.setdefault("end", epochs)
