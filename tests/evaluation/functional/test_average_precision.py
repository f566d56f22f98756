import numpy as np
import pytest

from mapllava.evaluation.functional import average_precision


def test_by_hand():
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
