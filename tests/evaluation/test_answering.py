"""Answers and cut maps rest on what pictures draw, and cite places in the map as it was given."""

import numpy as np
import pytest
from shapely.geometry import Polygon

from mapllava.errors import MapLLaVAError
from mapllava.evaluation.answering import answer, cut_map, outlines, shown_places
from mapllava.evaluation.formats.geojson import ALL_LINES
from mapllava.evaluation.sample_record import Display
from mapllava.language import read_requests
from mapllava.structures import MapLines, MapSpec

SPEC = MapSpec()
DISPLAY = Display({"divider": 0.3, "ped_crossing": 0.3, "boundary": 0.6}, "test", {"divider": 0.5})


def along(x, start=-30.0, stop=30.0):
    return np.stack([np.full(13, x), np.linspace(start, stop, 13)], axis=1)


LINES = MapLines(
    [along(5.0), along(3.0), along(3.2), along(-4.0, 10.0, 30.0), along(-8.0)],
    np.array([2, 0, 0, 0, 2]),
    np.array([0.55, 0.9, 0.7, 0.4, 0.8]),
)
"""Places 0 (below its class's score) and 2 (a near-duplicate of 1) are not there."""


def asked(text):
    return read_requests(text, SPEC.classes)


def test_what_pictures_leave_out_is_not_there():
    assert shown_places(LINES, SPEC.classes, DISPLAY).tolist() == [1, 3, 4]
    assert shown_places(LINES, SPEC.classes, ALL_LINES).tolist() == [0, 1, 2, 3, 4]
    truth = MapLines(LINES.points, LINES.labels)
    assert shown_places(truth, SPEC.classes, DISPLAY).tolist() == [0, 1, 2, 3, 4]


def test_answers_cite_places_in_the_map_as_it_was_given():
    left, right, all_of_it = answer(LINES, asked("count: divider; left / count: divider; right / count: all"),
                                    SPEC, DISPLAY)  # fmt: skip
    assert (left.value, left.cited, left.scores) == (1, (3,), (0.4,))
    assert (right.value, right.cited) == (1, (1,))
    assert (all_of_it.value, set(all_of_it.cited)) == (3, {1, 3, 4})


def test_what_rests_on_an_unsure_line_is_not_certain():
    unsure, sure = answer(LINES, asked("exists: divider; left / exists: divider; right"), SPEC, DISPLAY)
    assert (unsure.value, unsure.certain) == (True, False)
    assert (sure.value, sure.certain) == (True, True)


def test_what_a_line_that_is_nearly_shown_would_change_is_not_certain():
    sure = dict.fromkeys(SPEC.classes, 0.1)
    for boundary, certain in ((0.5, False), (0.58, True)):
        possible = {"divider": 0.3, "ped_crossing": 0.3, "boundary": boundary}
        display = Display(DISPLAY.thresholds, "test", sure, possible)
        right, left = answer(LINES, asked("exists: boundary; right / count: divider"), SPEC, display)
        assert (right.value, right.cited, right.certain) == (False, (), certain)
        assert (left.value, left.certain) == (2, True)


def test_a_cut_map_ends_at_the_region_and_has_nothing_twice():
    prompt = asked("draw: divider; ahead; within 20 m / draw: all; ahead; within 20 m")
    part = cut_map(LINES, prompt, SPEC, DISPLAY)
    assert part.labels.tolist() == [0, 0, 2]
    assert part.scores.tolist() == [0.9, 0.4, 0.8]
    points = np.concatenate(part.points)
    assert (points[:, 1] >= 0).all()
    assert np.hypot(*points.T).max() == pytest.approx(20.0)


def test_overlapping_regions_give_each_line_once():
    prompt = asked("draw: divider; ahead; within 20 m / draw: all; within 10 m / draw: divider; left")
    part = cut_map(LINES, prompt, SPEC, DISPLAY)
    assert part.labels.tolist() == [0, 0, 2]
    right, left, kerb = part.points
    assert right[[0, -1], 1] == pytest.approx([-np.sqrt(91), np.sqrt(391)])  # circles of 10 m and of 20 m
    assert (np.diff(right[:, 1]) > 0).all()
    assert left.tolist() == LINES.points[3].tolist()
    assert np.abs(kerb[:, 1]).max() == pytest.approx(6.0)


def test_overlapping_regions_give_one_ring():
    ring = np.array([[-4.0, 8.0], [4.0, 8.0], [4.0, 12.0], [-4.0, 12.0], [-4.0, 8.0]])
    crossing = MapLines([ring], np.array([1]), np.array([0.9]))
    for text in ("draw: all; left / draw: all; right", "draw: all; left / draw: all; within 9.5 m",
                 "draw: all; within 9 m / draw: all; between 8.5 and 11 m"):  # fmt: skip
        part = cut_map(crossing, asked(text), SPEC, DISPLAY)
        assert len(part.points) == 1, text
        assert (part.points[0][0] == part.points[0][-1]).all()
    both = cut_map(crossing, asked("draw: all; left / draw: all; right"), SPEC, DISPLAY)
    assert Polygon(both.points[0]).area == pytest.approx(32)


def test_a_question_draws_no_map():
    with pytest.raises(MapLLaVAError, match="'count: all' is a question, which draws no map: ask it"):
        cut_map(LINES, asked("draw: all / count: all"), SPEC, DISPLAY)


def test_outlines_stay_within_the_map():
    (ring,) = outlines(asked("draw: all; ahead; within 20 m / count: divider; ahead; within 20 m"), SPEC)
    assert (ring.min(axis=0), ring.max(axis=0)) == (pytest.approx([-15, 0]), pytest.approx([15, 20]))
    assert outlines(asked("count: all"), SPEC) == []
