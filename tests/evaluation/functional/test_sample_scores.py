import numpy as np
import pytest

from mapllava.evaluation.functional import best_and_worst, match_maps, sample_scores

CLASSES = ("divider", "ped_crossing", "boundary")
CUTS = [0.3, 0.3, 0.3]


def line(x):
    return np.array([[x, -10.0], [x, 10.0]])


def truth(*lines):
    return {"points": [line(x) for x, _ in lines], "labels": np.array([c for _, c in lines], dtype=int)}


def predicted(*lines):
    scores = np.array([score for *_, score in lines], dtype=float)
    return {**truth(*[each[:2] for each in lines]), "scores": scores}


def scored(*pairs, cuts=CUTS):
    matches = match_maps([p for p, _ in pairs], [g for _, g in pairs], CLASSES)
    return sample_scores(matches, cuts)


def test_a_sample_is_scored_by_hand():
    # Dividers: one of two found, one prediction too many, one below the cut. Boundary: predicted, not there.
    sample = predicted((0.2, 0, 0.9), (9.0, 0, 0.8), (5.1, 0, 0.2), (-8.0, 2, 0.7))
    found = scored((sample, truth((0.0, 0), (5.0, 0))))
    assert found.f1[0].tolist() == pytest.approx([0.5, np.nan, 0.0], nan_ok=True)
    assert found.score[0] == pytest.approx(0.25)
    assert found.num_gt[0].tolist() == [2, 0, 0]
    assert found.num_pred[0].tolist() == [2, 0, 1]
    assert found.name == "F1 at 1 m, mean over the classes there"


def test_the_distance_and_the_cut_of_each_class_decide():
    near_enough = (predicted((0.9, 0, 0.5), (3.0, 2, 0.5)), truth((0.0, 0), (3.0, 2)))
    assert scored(near_enough).score[0] == 1.0
    matches = match_maps([near_enough[0]], [near_enough[1]], CLASSES)
    assert sample_scores(matches, CUTS, threshold=0.5).score[0] == 0.5
    assert scored(near_enough, cuts=[0.5, 0.5, 0.51]).score[0] == 0.5
    with pytest.raises(ValueError, match=r"threshold 0.7 m is none of the protocol's \[0.5, 1.0, 1.5\]"):
        sample_scores(matches, CUTS, threshold=0.7)
    with pytest.raises(ValueError, match="1 cuts for 3 classes"):
        sample_scores(matches, [0.3])


def test_an_empty_sample_has_no_score_and_is_never_chosen():
    nothing = (predicted(), truth())
    found = scored(nothing, (predicted((0.0, 0, 0.9)), truth()), (predicted((0.0, 0, 0.9)), truth((0.0, 0))))
    assert found.score.tolist() == pytest.approx([np.nan, 0.0, 1.0], nan_ok=True)
    assert best_and_worst(found, 5, 5) == ([2, 1], [])
    assert best_and_worst(found, 1, 5) == ([2], [1])
    alone = scored(nothing)
    assert best_and_worst(alone, 1, 1) == ([], [])


def test_equal_scores_are_chosen_by_lines_then_by_place():
    one, two = truth((0.0, 0)), truth((0.0, 0), (5.0, 0))
    missed, hit, both = predicted(), predicted((0.0, 0, 0.9)), predicted((0.0, 0, 0.9), (5.0, 0, 0.8))
    found = scored((hit, one), (missed, one), (both, two), (missed, two), (hit, one), (missed, one))
    assert best_and_worst(found, 2, 2) == ([2, 0], [3, 1])
    assert best_and_worst(found, 0, 3) == ([], [3, 1, 5])
    with pytest.raises(ValueError, match="-1 best"):
        best_and_worst(found, -1, 0)
