import numpy as np
import pytest

from mapllava.evaluation.functional import match_maps, matched_chamfer

NAMES = ("divider", "boundary")


def upright(x):
    return np.array([[x, 0.0], [x, 10.0]])


def test_by_hand():
    # Divider: found 0.2 and 0.6 m away, a second try at 0.1 m comes too late; boundary: out of reach.
    pred = {
        "points": [upright(0.2), upright(8.6), upright(0.1), upright(20.0)],
        "labels": [0, 0, 0, 1],
        "scores": [0.9, 0.8, 0.7, 0.6],
    }
    truth = {"points": [upright(0.0), upright(8.0), upright(0.0)], "labels": [0, 0, 1]}
    result = matched_chamfer(match_maps([pred], [truth], NAMES, thresholds=[0.5, 1.0]))
    assert result["mean"][:, 0] == pytest.approx([0.2, 0.4])
    assert result["median"][:, 0] == pytest.approx([0.2, 0.4])
    assert result["count"].tolist() == [[1, 0], [2, 0]]
    assert np.isnan(result["mean"][:, 1]).all()


def test_ground_truth_is_no_distance_from_itself():
    truth = {"points": [upright(x) for x in range(5)], "labels": [0] * 5, "scores": [0.5] * 5}
    result = matched_chamfer(match_maps([truth], [truth], NAMES))
    assert result["mean"][:, 0].tolist() == [0.0] * 3
    assert result["count"][:, 0].tolist() == [5] * 3
