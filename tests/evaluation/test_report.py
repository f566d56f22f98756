import numpy as np
import pytest

from mapllava.evaluation.report import metric_values, score_table

SCORE = {
    "ap": np.array([[0.1, 0.0], [0.3, 0.0]]),
    "mAP": 0.1,
    "num_gt": np.array([7, 0]),
    "num_pred": np.array([5, 2]),
    "num_samples": 4,
    "thresholds": (0.5, 1.0),
    "class_names": ("divider", "boundary"),
    "protocol": "maptr",
}


def test_metric_values():
    assert metric_values(SCORE) == pytest.approx(
        {
            "mAP": 0.1,
            "AP_divider": 0.2,
            "AP_boundary": 0.0,
            "AP_divider@0.5": 0.1,
            "AP_boundary@0.5": 0.0,
            "AP_divider@1": 0.3,
            "AP_boundary@1": 0.0,
        }
    )


def test_table():
    title, *rows = score_table(SCORE, "val", "Baseline").splitlines()
    assert title == ("Baseline in %: split val, protocol maptr (0.5 m, 1 m), 4 samples, 7 ground-truth lines")
    cells = [[c.strip() for c in row.split("│")[1:-1]] for row in rows if row.startswith("│")]
    assert cells == [
        ["divider", "7", "5", "10.0", "30.0", "20.0"],
        ["boundary (no ground truth: counts 0)", "0", "2", "0.0", "0.0", "0.0"],
        ["mAP", "7", "7", "5.0", "15.0", "10.0"],
    ]
