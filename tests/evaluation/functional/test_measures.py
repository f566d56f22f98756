import numpy as np
import pytest

from mapllava.evaluation.functional import average_precision, best_f1, calibration_error


def test_average_precision_by_hand():
    # found, missed, found of 4 lines: recall 1/4 at precision 1, then 2/4 at 2/3.
    found = np.array([[True, False, True]])
    assert average_precision(np.array([0.9, 0.8, 0.7]), found, 4)[0] == pytest.approx(0.25 + 0.25 * 2 / 3)


def test_envelope_lifts_an_early_miss():
    # missed, found, found of 2: precisions 0, 1/2, 2/3 -> the envelope is 2/3 over both recall steps.
    found = np.array([[False, True, True]])
    assert average_precision(np.array([3.0, 2.0, 1.0]), found, 2)[0] == pytest.approx(2 / 3)


def test_ties_keep_the_input_order():
    scores = np.tile([0.3, 0.9, 0.6], 200)
    first, last = np.zeros((2, 1, 600), dtype=bool)
    first[0, 1], last[0, -2] = True, True
    assert average_precision(scores, first, 1)[0] == 1.0
    assert average_precision(scores, last, 1)[0] == pytest.approx(1 / 200)
    middle = np.zeros((1, 600), dtype=bool)
    middle[0, 3 * 50 + 1] = True
    assert average_precision(scores, middle, 1)[0] == pytest.approx(1 / 51)


def test_no_ground_truth_or_no_prediction_is_zero():
    assert average_precision(np.array([0.5]), np.zeros((3, 1), dtype=bool), 0).tolist() == [0.0] * 3
    assert average_precision(np.zeros(0), np.zeros((3, 0), dtype=bool), 7).tolist() == [0.0] * 3


def test_best_f1_by_hand():
    # Of 2 lines: cut at 0.9 gives P 1, R 1/2, F1 2/3; at 0.6 P 2/3, R 1, F1 4/5; at 0.8 and 0.1 less.
    found = np.array([[True, False, True, False]])
    best = best_f1(np.array([0.9, 0.8, 0.6, 0.1]), found, 2)
    assert {key: value[0] for key, value in best.items()} == pytest.approx(
        {"f1": 0.8, "precision": 2 / 3, "recall": 1.0, "score": 0.6}
    )


def test_equal_scores_are_cut_together():
    best = best_f1(np.array([0.5, 0.5]), np.array([[True, False]]), 1)
    assert (best["precision"][0], best["recall"][0]) == (0.5, 1.0)


def test_each_threshold_has_its_own_cut():
    found = np.array([[False, False, True], [True, True, True]])
    best = best_f1(np.array([0.7, 0.9, 0.2]), found, 3)
    assert best["score"].tolist() == [0.2, 0.2]
    assert best["f1"] == pytest.approx([1 / 3, 1.0])


def test_no_f1_where_nothing_is_found_or_to_find():
    for scores, found, num_gt in (
        (np.array([0.5]), np.zeros((2, 1), bool), 3),
        (np.zeros(0), np.zeros((2, 0), bool), 3),
        (np.array([0.5]), np.zeros((2, 1), bool), 0),
    ):
        best = best_f1(scores, found, num_gt)
        assert best["f1"].tolist() == best["precision"].tolist() == best["recall"].tolist() == [0, 0]
        assert np.isnan(best["score"]).all()


def test_no_cut_is_better():
    rng = np.random.default_rng(0)
    scores, found = rng.random(60).round(1), rng.random((1, 60)) < 0.4
    best = best_f1(scores, found, 30)
    for cut in np.unique(scores):
        kept = scores >= cut
        assert 2 * found[0, kept].sum() / (kept.sum() + 30) <= best["f1"][0] + 1e-12


def test_calibration_by_hand():
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
