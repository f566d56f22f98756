import numpy as np
import pytest

from mapllava.evaluation.functional import get_protocol
from mapllava.evaluation.ground_truth import prepare_ground_truth
from mapllava.structures import Polyline

RING = np.array([[0, 0], [2, 0.05], [4, 0], [4, 4], [0, 4], [0, 0]], dtype=float)


def test_maptr_takes_lines_as_they_are():
    truth = prepare_ground_truth([Polyline(1, RING, closed=True)], get_protocol("maptr"), "a")
    np.testing.assert_array_equal(truth["points"][0], RING)
    assert truth["labels"].tolist() == [1]
    assert truth["sample_token"] == "a"


def test_streammapnet_drops_vertices_nearer_than_20_cm_and_keeps_rings_closed():
    lines = [{"label": 1, "points": RING, "closed": True}]
    (points,) = prepare_ground_truth(lines, get_protocol("streammapnet"), "a")["points"]
    assert points.tolist() == [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]


def test_an_empty_sample():
    truth = prepare_ground_truth([], get_protocol("streammapnet"), "a")
    assert truth["points"] == []
    assert truth["labels"].shape == (0,)


def test_a_broken_line_names_the_sample():
    with pytest.raises(ValueError, match="ground truth of sample abc"):
        prepare_ground_truth(
            [{"label": 0, "points": RING[:1], "closed": False}], get_protocol("maptr"), "abc"
        )
