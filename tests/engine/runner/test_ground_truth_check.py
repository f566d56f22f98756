import numpy as np
import pytest
from mmengine.config import Config

from mapllava import gt_cache
from mapllava.config.resolve import resolve
from mapllava.engine.runner import ground_truth_check
from mapllava.errors import MapLLaVAError

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}
RING = np.array([[0.0, 0], [4, 0], [4, 3], [0, 3], [0, 0]])


@pytest.fixture
def cfg(monkeypatch, tmp_path):
    """Two samples, one of them empty; no boundary anywhere."""
    polylines = [
        {"label": 0, "points": np.array([[-3.0, -20], [-3, 0], [2, 25]]), "closed": False},
        {"label": 1, "points": RING, "closed": True},
    ]
    entries = [{"sample_token": "a", "polylines": polylines}, {"sample_token": "b", "polylines": []}]
    meta = {**SPEC, "version": "v1.0-mini", "split": "val"}
    monkeypatch.setattr(gt_cache, "load", lambda path, expected: {"metainfo": meta, "data_list": entries})
    dataset = {
        "type": "NuScenesMapDataset",
        "data_root": str(tmp_path),
        "ann_file": "gt_cache_v1.0-mini_val.pkl",
    }
    cfg = Config({"default_scope": "mapllava", "map_spec": SPEC, "test_dataloader": {"dataset": dataset}})
    return resolve(cfg)


def test_ground_truth_scores_one_and_the_table_names_the_split(cfg):
    (table,) = ground_truth_check.score_ground_truth(cfg)
    assert "Ground truth as prediction" in table
    assert "v1.0-mini val" in table
    assert "100.0" in table


def test_a_metric_that_loses_something_is_an_error(cfg, monkeypatch):
    def lossy(results, cache):
        from mapllava.evaluation import score_results

        score = score_results(results, cache)
        return {**score, "ap": np.asarray(score["ap"]) * 0.99}

    monkeypatch.setattr(ground_truth_check, "score_results", lossy)
    with pytest.raises(MapLLaVAError, match="metric is broken"):
        ground_truth_check.score_ground_truth(cfg)
