from types import SimpleNamespace

import numpy as np
import pytest

from mapllava.evaluation.sample_record import FALLBACK_SCORE as FALLBACK
from mapllava.structures import MapLines
from mapllava.visualization import thin
from mapllava.visualization.thinning import ScoreCut

CLASSES = ("divider", "ped_crossing", "boundary")


def parallel(offsets, labels, scores):
    lines = [np.array([[x, -20.0], [x, 0.0], [x, 20.0]]) for x in offsets]
    return MapLines(lines, np.array(labels), np.array(scores))


def test_near_duplicates_of_a_better_line_go_and_nothing_else():
    lines = parallel([0.6, 0.0, 0.5, 5.0, 0.1], [0, 0, 2, 0, 0], [0.4, 0.9, 0.3, 0.35, 0.5])
    kept, left_out = thin(lines)
    assert [line[0, 0] for line in kept.points] == [0.0, 0.5, 5.0]  # best of its class, another class, far
    assert kept.labels.tolist() == [0, 2, 0]
    assert left_out == 2
    assert len(lines.points) == 5
    assert len(thin(lines, 0.3)[0].points) == 4
    assert thin(lines, 0.0)[1] == 0


def test_a_chain_keeps_what_is_near_only_to_one_that_went():
    kept, left_out = thin(parallel([0.0, 0.8, 1.6], [0, 0, 0], [0.9, 0.8, 0.7]))
    assert [line[0, 0] for line in kept.points] == [0.0, 1.6]
    assert left_out == 1


def test_truth_is_never_thinned_and_nothing_is_no_error():
    truth = MapLines(parallel([0.0, 0.1], [0, 0], [0, 0]).points, np.array([0, 0]))
    assert thin(truth) == (truth, 0)
    assert thin(MapLines([], np.array([]), np.array([])))[1] == 0


@pytest.mark.parametrize(
    ("given", "scores", "source"),
    [
        (None, [FALLBACK] * 3, "fallback"),
        (0.7, [0.7] * 3, "asked"),
        (
            {"thresholds": {"divider": 0.5, "boundary": 0.2}, "source": "best F1"},
            [0.5, FALLBACK, 0.2],
            "best F1",
        ),
        (SimpleNamespace(thresholds={"boundary": 0.9}, source="x"), [FALLBACK, FALLBACK, 0.9], "x"),
    ],
)
def test_thresholds_come_with_their_source(given, scores, source):
    cut = ScoreCut.of(given, CLASSES)
    assert cut.scores.tolist() == scores
    assert source in cut.source


def test_each_class_has_its_own_threshold():
    cut = ScoreCut.of({"thresholds": {"divider": 0.6, "boundary": 0.2}, "source": "s"}, CLASSES)
    drawn, left_out = cut.drawn(parallel([0, 5, 10, 10.2], [0, 0, 2, 2], [0.59, 0.6, 0.3, 0.2]))
    assert [line[0, 0] for line in drawn.points] == [5, 10]
    assert left_out == 1
