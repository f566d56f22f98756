"""The score of the ground truth itself: anything below 1 is a defect of the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.report import score_table
from mapllava.evaluation.results_file import MapResults
from mapllava.evaluation.scoring import data_name, score_results
from mapllava.gt_cache import schema


def score_ground_truth(cache: Mapping[str, Any]) -> str:
    """Score a GT cache with its own polylines as predictions.

    Args:
        cache: What :func:`mapllava.gt_cache.load` returns.

    Returns:
        A table.

    Raises:
        MapLLaVAError: If a class that has ground truth scores less than 1.
    """
    meta = cache["metainfo"]
    truth = {entry["sample_token"]: _as_prediction(entry["polylines"]) for entry in cache["data_list"]}
    score = score_results(MapResults(schema.spec_of(meta), meta["split"], truth, meta["version"]), cache)
    data = data_name(meta["split"], meta["version"])
    table = score_table(score, data, "Ground truth as prediction: Chamfer AP")
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
