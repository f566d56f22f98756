"""Where streets meet: kerbs that turn round a corner, and nothing else that bends."""

import numpy as np
import pytest

from mapllava.language.junction import junctions


def arc(x, y, radius, first, last):
    angles = np.radians(np.linspace(first, last, 12))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def corner(x, y, east, north, radius=5.0):
    """A kerb from the side street into the street, round a block to the ``east`` and ``north`` (±1) of it."""
    bend = arc(0, 0, radius, 270, 180) * [east, north] + [x + east * radius, y + north * radius]
    return np.concatenate([[[x + east * 20, y]], bend, [[x, y + north * 20]]])


def crossroads(y=12.0):
    return [corner(4 * east, y + 4 * north, east, north) for east in (-1, 1) for north in (-1, 1)]


def test_the_kerbs_of_a_crossroads_are_one_junction():
    (found,) = junctions([np.array([[-30.0, 50], [30, 50]]), *crossroads()])
    assert np.hypot(*(found.place - [0, 12])) < 2
    assert found.kerbs == (1, 2, 3, 4)


@pytest.mark.parametrize("which", range(4))
def test_one_corner_is_enough_whichever_way_it_runs(which):
    line = crossroads()[which]
    for points in (line, line[::-1]):
        (found,) = junctions([points])
        assert np.hypot(*(found.place - [0, 12])) < 5
        assert found.kerbs == (0,)


def test_a_kerb_that_bends_on_its_way_to_the_corner():
    kerb = np.concatenate(
        [[[2.0, 30], [-5, 12], [-2, -4], [0, -20]], arc(-6, -23, 6.5, 0, -90), [[-15, -29.5]]]
    )
    (found,) = junctions([kerb])
    assert np.hypot(*(found.place - [4, -33])) < 4


def test_two_junctions_are_told_apart_the_nearer_first():
    found = junctions(crossroads(28.0) + crossroads(-18.0))
    assert [junction.kerbs for junction in found] == [(4, 5, 6, 7), (0, 1, 2, 3)]


def test_what_bends_and_is_no_corner():
    bend = np.concatenate([[[-4.0, -30]], arc(26, 0, 30, 180, 90), [[40, 30]]])
    sharp = np.concatenate(
        [[[4.0, -30]], arc(-2, 4, 6, 0, 90), [[-30, 10]]]
    )  # the outer kerb of a sharp bend
    median = np.concatenate([[[-1.5, -30]], arc(0, -8, 1.5, 180, 0), [[1.5, -30]]])
    cut_off = np.concatenate([[[-1.5, -30]], arc(0, -8, 1.5, 180, 0), [[1.5, -18]]])
    island = arc(0, 15, 8, 0, 360)
    bay = np.array([[5.0, -30], [5, -10], [8, -7], [8, 5], [5, 8], [5, 30]])
    for line in (bend, sharp, median, cut_off, island, bay, np.array([[1.0, 2], [1, 3]]), np.zeros((3, 2))):
        assert junctions([line]) == []
    assert junctions([]) == []
