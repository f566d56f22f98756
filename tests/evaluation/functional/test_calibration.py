import numpy as np
import pytest

from mapllava.evaluation.functional import calibration_error


def test_by_hand():
    # Bin [0, .5): mean score .2, found 1 of 2; bin [.5, 1]: mean score .9, found 1 of 1.
    result = calibration_error(np.array([0.1, 0.3, 0.9]), np.array([[True, False, True]]), num_bins=2)
    assert result["ece"][0] == pytest.approx((2 * 0.3 + 1 * 0.1) / 3)
    assert result["count"].tolist() == [2, 1]
    assert result["mean_score"] == pytest.approx([0.2, 0.9])
    assert result["share_found"][0] == pytest.approx([0.5, 1.0])


def test_scores_that_are_the_chance_of_being_right_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    honest = calibration_error(scores, rng.random(200_000)[None] < scores)
    boastful = calibration_error(np.sqrt(scores), rng.random(200_000)[None] < scores)
    assert honest["ece"][0] < 0.005
    assert boastful["ece"][0] == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


def test_edges_and_empty_bins():
    result = calibration_error(np.array([0.0, 0.5, 1.0]), np.ones((1, 3), bool), num_bins=4)
    assert result["count"].tolist() == [1, 0, 1, 1]
    assert np.isnan(result["share_found"][0, 1])
    assert result["edges"].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_scores_on_an_edge_belong_to_the_bin_above():
    scores = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    result = calibration_error(scores, np.zeros((1, 11), bool), num_bins=10)
    assert result["count"].tolist() == [1] * 9 + [2]
    assert result["mean_score"] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95])
    just_below = np.nextafter(scores[1:-1], 0)
    below = calibration_error(just_below, np.zeros((1, 9), bool), num_bins=10)
    assert below["count"].tolist() == [1] * 9 + [0]
    # [.2, .3) holds .25, found; [.3, .4) holds .3 and .35, found once
    mixed = calibration_error(np.array([0.25, 0.3, 0.35]), np.array([[True, False, True]]), num_bins=10)
    assert mixed["count"].tolist() == [0, 0, 1, 2, 0, 0, 0, 0, 0, 0]
    assert mixed["ece"][0] == pytest.approx((0.75 + 2 * abs(0.5 - 0.325)) / 3)


def test_no_prediction_has_no_error_to_tell():
    assert np.isnan(calibration_error(np.zeros(0), np.zeros((2, 0), bool))["ece"]).all()


def test_logits_are_refused():
    with pytest.raises(ValueError, match=r"from -2 to 3: calibration needs probabilities in \[0, 1\]"):
        calibration_error(np.array([-2.0, 3.0]), np.ones((1, 2), bool))
    with pytest.raises(ValueError, match="num_bins is 0"):
        calibration_error(np.array([0.5]), np.ones((1, 1), bool), num_bins=0)
