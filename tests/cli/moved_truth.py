"""Predictions made of a cache's ground truth."""

import numpy as np

from mapllava.evaluation import MapResults
from mapllava.gt_cache.schema import spec_of


def moved_truth(content, sigma):
    """Results of a model that draws every line of a cache's content, moved by about ``sigma`` metres."""
    rng = np.random.default_rng(1)
    maps = {
        entry["sample_token"]: {
            "points": [p["points"] + rng.normal(size=2) * sigma for p in entry["polylines"]],
            "labels": [p["label"] for p in entry["polylines"]],
            "scores": rng.random(len(entry["polylines"])),
        }
        for entry in content["data_list"]
    }
    meta = content["metainfo"]
    return MapResults(spec_of(meta), meta["split"], maps, meta["version"])
