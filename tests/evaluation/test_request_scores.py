"""How well sentences were understood, in numbers worked out by hand."""

import json

import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional.request_scores import (
    Understanding,
    best_threshold,
    request_scores,
    separation,
)
from mapllava.evaluation.metrics import RequestMetric


def heard(canonical, predicted, confidence, part="train"):
    return Understanding(canonical, predicted, confidence, {"part": part})


FOUND = [
    heard("draw: all", "draw: all", 0.9),
    heard("draw: divider", "draw: divider", 0.8, "words"),
    heard("draw: boundary", "draw: divider", 0.6, "words"),  # wrong, and not so sure
    heard("none", "draw: all", 0.5),  # would be answered, and must not
    heard("none", "none", 0.1),  # refused, however sure
    heard("count: all", "none", 0.9),  # refused wrongly at any threshold
]


def test_shares_are_those_counted_by_hand():
    scores = request_scores(FOUND, threshold=0.7)
    assert scores == {
        "exact": 3 / 6,
        "exact_part_train": 2 / 4,
        "exact_part_words": 1 / 2,
        "refused_wrongly": 2 / 4,  # the boundary, and the count
        "answered_wrongly": 0.0,
        "false_accepts": 0.0,
    }
    scores = request_scores(FOUND, threshold=0.0)
    assert scores["answered_wrongly"] == 2 / 4
    assert scores["false_accepts"] == 1 / 2
    assert scores["refused_wrongly"] == 1 / 4


def test_the_threshold_parts_right_from_wrong_answers():
    assert 0.6 < best_threshold(FOUND) < 0.8
    right = [each for each in FOUND if each.right]
    assert best_threshold(right) == 0.4, "half of the least sure answer: far less sure is refused"
    assert best_threshold([]) == 0.0
    tied = [heard("draw: all", "draw: all", 0.9), heard("none", "draw: all", 0.9)]
    assert best_threshold(tied) > 0.9, "no threshold parts the two: refuse both"
    assert best_threshold([heard("none", "draw: all", 0.7)]) > 0.7


def test_one_wrong_answer_is_dearer_than_a_right_one_refused_and_cheaper_than_three():
    wrong = heard("draw: all", "draw: divider", 0.5)
    one = [heard("draw: all", "draw: all", 0.9), wrong, heard("draw: all", "draw: all", 0.4)]
    assert 0.5 < best_threshold(one) < 0.9
    assert best_threshold([*one, *[heard("draw: all", "draw: all", 0.45)] * 2]) == 0.4 / 2


def test_separation_is_the_share_of_pairs_in_order():
    assert separation(FOUND) == (2.5 + 2 + 0) / 9
    assert separation(FOUND[:2]) is None


def test_the_metric_calibrates_on_validation_and_keeps_to_the_models_own_in_a_test(tmp_path):
    metric = RequestMetric(outfile=str(tmp_path / "heard.json"))
    groups = {"kind": "draw", "language": "en"}
    samples = [{**vars(each), "text": "…", **each.groups, **groups} for each in FOUND]
    metric.process({}, samples)
    scores = metric.evaluate(len(samples))
    assert scores["threshold"] == metric.display["thresholds"]["request"] == best_threshold(FOUND)
    assert len(json.loads((tmp_path / "heard.json").read_text())) == len(samples)
    metric.model_display = {"thresholds": {"request": 0.0}, "source": "then"}
    metric.process({}, samples)
    assert metric.evaluate(len(samples))["false_accepts"] == 0.5


def test_no_sentence_is_an_error():
    with pytest.raises(MapLLaVAError, match="no sentence"):
        RequestMetric().compute_metrics([])
