"""The one place that fills in what a config leaves to be worked out, before anything is built from it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mapllava.config.components import arguments_of, candidates
from mapllava.config.walk import DATALOADERS, at, children, dicts, walk
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS, SCOPE
from mapllava.structures.frames import FRAMES, ROI, MapSpec

EVALUATORS = ("val_evaluator", "test_evaluator")
ASKED_FOR = {"map_spec": "map_spec", "num_points": "model.head.num_points", "cell": "model.neck.cell"}
"""Arguments that a component gets by having them in its constructor, and where the config says them."""


def resolve(cfg: Config, filled: dict[str, str] | None = None) -> Config:
    """Fill in, in place, whatever the config says once or not at all; a second call changes nothing.

    The model, its parts, data sets, transforms, samplers and metrics get what their constructor asks for:
    ``map_spec`` (as ``dict(frame=…, roi=…, classes=…)``), the head's ``num_points``, the BEV neck's ``cell``
    (metres); a number that one states itself stays. Schedules by epoch without an ``end`` last as long as the
    training, the random seed is 0 unless set (a resumed run must see the same order of samples), paths that
    begin with ``~/`` are in the home folder, and the default scope is this package's.

    Args:
        cfg: A full config.
        filled: Is given, by dotted key, the key that each value came from; nothing for a fixed one.

    Returns:
        The same config.

    Raises:
        MapLLaVAError: If ``map_spec`` is missing or not valid, or a component states another one.
    """
    record = {} if filled is None else filled
    if "default_scope" not in cfg:
        cfg.default_scope = SCOPE
        record["default_scope"] = ""
    init_default_scope(cfg.default_scope)
    for _, node in walk(cfg):
        for key, value in children(node) if isinstance(node, (dict, list, Config)) else ():
            if isinstance(value, str) and value.startswith("~/"):  # the shell leaves it after a =
                node[key] = os.path.expanduser(value)
    spec = _map_spec(cfg)
    for where, node in _components(cfg):
        asked = set(_arguments(node["type"]))
        for key in [key for key in ASKED_FOR if key in asked]:
            value = spec.to_config() if key == "map_spec" else at(cfg, ASKED_FOR[key])
            own = node.get(key)
            if key == "map_spec" and own is not None and MapSpec.from_config(dict(own)) != spec:
                raise MapLLaVAError(
                    f"{where}.map_spec is {dict(own)}, but the config's map_spec is {value}: remove the "
                    "former, the latter is written there"
                )
            if value is not None and (key not in node or (key == "map_spec" and own is None)):
                node[key] = value
                record[f"{where}.{key}"] = ASKED_FOR[key]
    _end_schedules(cfg, record)
    cfg.randomness = cfg.get("randomness") or {}
    if cfg.randomness.get("seed") is None:
        cfg.randomness.seed = 0
        record["randomness.seed"] = ""
    return cfg


def move_data_root(cfg: Config, new: str) -> None:
    """Take the data sets with the config's ``data_root`` to another: what the dicts were made of is past."""
    old = cfg.get("data_root")
    for name in DATALOADERS:
        for _, node in dicts(cfg.get(name)):
            if "data_root" in node and node["data_root"] == old:
                node["data_root"] = new


def leaf_datasets(cfg: Config | Mapping[str, Any], dataloader: str) -> Iterator[tuple[str, dict]]:
    """The data set configs of one dataloader, below wrappers such as ``ConcatDataset``.

    Args:
        cfg: A full config.
        dataloader: For instance ``train_dataloader``; one the config lacks has no data sets.

    Yields:
        The place in the config and the data set's dict.
    """
    for where, node in dicts(cfg.get(dataloader), dataloader):
        wraps = isinstance(node.get("dataset"), dict) or isinstance(node.get("datasets"), (list, tuple))
        if not wraps and re.fullmatch(rf"{dataloader}(\.dataset|\.datasets\.\d+)+", where):
            yield where, node


def cached_datasets(
    cfg: Config | Mapping[str, Any], dataloaders: Collection[str] = DATALOADERS
) -> Iterator[tuple[str, dict, Path]]:
    """The data sets on GT caches; only they take a map specification, others look after themselves.

    Args:
        cfg: A full config.
        dataloaders: Whose data sets.

    Yields:
        The place in the config, the data set's dict and the path of its cache.
    """
    for name in dataloaders:
        for where, dataset in leaf_datasets(cfg, name):
            if accepts(dataset.get("type"), "map_spec") and dataset.get("ann_file"):
                probe = DATASETS.build({**dataset, "pipeline": [], "lazy_init": True})
                yield where, dataset, Path(probe.ann_file)


def accepts(kind: Any, argument: str) -> bool:
    """Whether what a ``type`` names takes an argument, itself or through a parent class."""
    return argument in _arguments(kind)


def schedules_of(cfg: Config | Mapping[str, Any]) -> list[dict]:
    """The config's schedules, one or several.

    Raises:
        MapLLaVAError: If one is no dict.
    """
    given = cfg.get("param_scheduler") or []
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    for each in found:
        if not isinstance(each, dict):
            raise MapLLaVAError(f"param_scheduler has {each!r}: give dicts, dict(type=…)")
    return found


def _map_spec(cfg: Config) -> MapSpec:
    """The config's; the usual ROI as it reads in another frame, whose axes point elsewhere, is refused."""
    if cfg.get("map_spec") is None:
        raise MapLLaVAError(
            "the config has no top-level map_spec: inherit configs/_base_/map_spec.py, or write "
            "map_spec = dict(frame='lidar', roi=[-15.0, -30.0, 15.0, 30.0], "
            "classes=['divider', 'ped_crossing', 'boundary'])"
        )
    spec = MapSpec.from_config(dict(cfg.map_spec))
    usual = MapSpec().roi.describe()
    right = ROI.parse(usual, spec.frame)
    if spec.roi != right and any(spec.roi == ROI.parse(usual, frame) for frame in FRAMES):
        length, width = spec.roi.length_and_width(spec.frame)
        raise MapLLaVAError(
            f"map_spec.frame is '{spec.frame}', and there map_spec.roi {spec.roi.to_list()} is {length:g} m "
            f"along the car and {width:g} m across it: set map_spec.roi={right.to_list()}, and build the GT "
            f"caches with --frame {spec.frame} --roi {usual}"
        )
    return spec


def _components(cfg: Config) -> Iterator[tuple[str, dict]]:
    """Those that may ask; what lies within the model's parts is theirs to build."""
    for root in ("model", *DATALOADERS, *EVALUATORS):
        for where, node in dicts(cfg.get(root), root):
            if "type" in node and (root != "model" or where.count(".") < 2):
                yield where, node


def _arguments(kind: Any) -> list[str]:
    return [name for built, _ in candidates(kind) for name in arguments_of(built)[0]]


def _end_schedules(cfg: Config, record: dict[str, str]) -> None:
    epochs = (cfg.get("train_cfg") or {}).get("max_epochs")
    several = isinstance(cfg.get("param_scheduler"), (list, tuple))
    for index, scheduler in enumerate(schedules_of(cfg)):
        if epochs is not None and scheduler.get("by_epoch", True) and "end" not in scheduler:
            scheduler["end"] = epochs
            record[f"param_scheduler{f'.{index}' if several else ''}.end"] = "train_cfg.max_epochs"
