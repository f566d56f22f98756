import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import ground_truth_check

RING = np.array([[0.0, 0], [4, 0], [4, 3], [0, 3], [0, 0]])


@pytest.fixture
def cache():
    """Two samples, one of them empty; no boundary anywhere."""
    polylines = [
        {"label": 0, "points": np.array([[-3.0, -20], [-3, 0], [2, 25]]), "closed": False},
        {"label": 1, "points": RING, "closed": True},
    ]
    entries = [{"sample_token": "a", "polylines": polylines}, {"sample_token": "b", "polylines": []}]
    meta = {
        "frame": "lidar",
        "roi": [-15.0, -30.0, 15.0, 30.0],
        "classes": ["divider", "ped_crossing", "boundary"],
        "version": "v1.0-mini",
        "split": "val",
    }
    return {"metainfo": meta, "data_list": entries}


def test_ground_truth_scores_one_and_the_table_names_the_split(cache):
    table = ground_truth_check.score_ground_truth(cache)
    assert "Ground truth as prediction" in table
    assert "split val of v1.0-mini" in table
    assert "100.0" in table


def test_a_metric_that_loses_something_is_an_error(cache, monkeypatch):
    real = ground_truth_check.score_results

    def lossy(results, cache):
        score = real(results, cache)
        return {**score, "ap": np.asarray(score["ap"]) * 0.99}

    monkeypatch.setattr(ground_truth_check, "score_results", lossy)
    with pytest.raises(MapLLaVAError, match="metric is broken"):
        ground_truth_check.score_ground_truth(cache)
