"""The score of the ground truth itself: anything below 1 is a defect of the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import Config

from mapllava import gt_cache
from mapllava.config.resolve import leaf_datasets
from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, score_results, score_table
from mapllava.registry import DATASETS
from mapllava.structures.frames import MapSpec

LOADERS = ("train_dataloader", "test_dataloader")


def score_ground_truth(cfg: Config, dataloaders: Sequence[str] = LOADERS) -> list[str]:
    """Score every GT cache of a config with its own polylines as predictions.

    Args:
        cfg: A config that :func:`mapllava.config.resolve.resolve` has seen.
        dataloaders: Whose caches to score.

    Returns:
        One table per cache.

    Raises:
        MapLLaVAError: If a class that has ground truth scores less than 1.
    """
    spec = MapSpec.from_config(dict(cfg.map_spec))
    tables = []
    for name in dataloaders:
        for _, dataset in leaf_datasets(cfg, name):
            probe = DATASETS.build({**dataset, "pipeline": [], "lazy_init": True})
            tables.append(_score(gt_cache.load(probe.ann_file, expected=spec), spec))
    return tables


def _score(cache: Mapping[str, Any], spec: MapSpec) -> str:
    meta = cache["metainfo"]
    truth = {entry["sample_token"]: _as_prediction(entry["polylines"]) for entry in cache["data_list"]}
    score = score_results(MapResults(spec, meta["split"], truth, meta["version"]), cache)
    table = score_table(score, f"{meta['version']} {meta['split']}", "Ground truth as prediction: Chamfer AP")
    known = np.asarray(score["num_gt"]) > 0
    if not np.all(np.asarray(score["ap"])[:, known] == 1.0):
        raise MapLLaVAError(f"{table}\nthe ground truth must score exactly 100 here: the metric is broken")
    return table


def _as_prediction(polylines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "points": [np.asarray(line["points"], dtype=np.float64) for line in polylines],
        "labels": np.array([line["label"] for line in polylines], dtype=np.int64),
        "scores": np.ones(len(polylines)),
    }
