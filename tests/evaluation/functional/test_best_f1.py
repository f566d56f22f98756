import numpy as np
import pytest

from mapllava.evaluation.functional import best_f1


def test_by_hand():
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


def test_nothing_found_or_nothing_to_find():
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
