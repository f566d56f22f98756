from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mapllava.geometry import arc_length, cumulative_length, ranks, resample, resample_many

LINES = arrays(
    np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=st.integers(-40, 40).map(float)
)


def test_length_of_a_corner():
    corner = np.array([[0.0, 0], [3, 0], [3, 4]])
    assert arc_length(corner) == 7
    assert cumulative_length(corner).tolist() == [0, 3, 7]


def test_corner_at_equal_steps():
    corner = np.array([[0.0, 0], [2, 0], [2, 2]])
    np.testing.assert_allclose(resample(corner, 5), [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]])


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(2, 30))
def test_agrees_with_shapely_and_keeps_its_ends(points, n):
    line = shapely.LineString(points)
    got = resample(points, n)
    want = [line.interpolate(d).coords[0] for d in np.linspace(0, line.length, n)]
    np.testing.assert_allclose(got, want, atol=1e-9)
    assert np.array_equal(got[[0, -1]], points[[0, -1]])


@settings(max_examples=40, deadline=None)
@given(st.lists(LINES, max_size=5), st.integers(2, 9))
def test_many_at_once_equal_one_by_one(lines, n):
    many = resample_many(lines, n)
    assert many.shape == (len(lines), n, 2)
    for line, got in zip(lines, many, strict=True):
        assert np.array_equal(got, resample(line, n))


def test_a_line_that_runs_off_takes_no_digit_from_its_neighbours():
    line = np.array([[0.1, 0.2], [3.3, 4.7], [9.1, 4.9]])
    for far in (1e6, 1e12, 1e18, 1e300):
        got = resample_many([line, np.array([[0.0, 0.0], [far, -far]]), line], 50)
        assert np.array_equal(got[0], resample(line, 50))
        assert np.array_equal(got[2], got[0])


def test_steps_too_small_to_divide_by_leave_no_hole():
    points = np.array([[0.0, 0.0], [0.0, 1e-310], [0.0, 2e-310]])
    np.testing.assert_allclose(resample(points, 5), np.zeros((5, 2)), atol=1e-300)


def test_ends_are_exact_among_many_lines():
    rng = np.random.default_rng(0)
    lines = [rng.normal(size=(rng.integers(2, 9), 2)) * 30 for _ in range(200)]
    lines[3], lines[4] = lines[4][::-1], np.repeat(lines[4], 2, axis=0)
    got = resample_many(lines, 7)
    assert np.array_equal(got[:, [0, -1]], np.stack([line[[0, -1]] for line in lines]))


def test_ring_stays_closed():
    ring = np.array([[0.1, 0], [4, 0], [4, 3], [0.1, 0]])
    assert np.array_equal(*resample(ring, 20)[[0, -1]])


def test_zero_length_line_repeats_its_point():
    assert resample(np.array([[3.0, 4], [3, 4]]), 4).tolist() == [[3, 4]] * 4
    assert resample(np.array([[3.0, 4]]), 3).tolist() == [[3, 4]] * 3


def test_ranks_begin_anew_with_every_run():
    assert ranks(np.array([3, 0, 2, 1])).tolist() == [0, 1, 2, 0, 1, 0]
    assert ranks(np.array([], dtype=int)).tolist() == []


@pytest.mark.parametrize("bad", [np.zeros((3, 3)), np.zeros(4), np.zeros((0, 2))])
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ValueError, match="shape"):
        resample(bad, 5)
    with pytest.raises(ValueError, match="shape"):
        arc_length(bad)


def test_one_point_is_not_a_polyline():
    with pytest.raises(ValueError, match="at least 2"):
        resample(np.zeros((2, 2)), 1)
