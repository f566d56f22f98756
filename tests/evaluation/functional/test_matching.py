import numpy as np
import shapely

from mapllava.evaluation.functional.matching import strips_meet
from mapllava.geometry import resample_many


def exact(first, second, buffer):
    strips = [
        shapely.buffer(shapely.linestrings(lines), buffer, cap_style="flat", join_style="mitre")
        for lines in (first, second)
    ]
    return shapely.intersects(*strips)


def test_shortcut_gives_the_same_answer_as_building_the_strips():
    rng = np.random.default_rng(3)
    lines = [rng.normal(size=(n, 2)).cumsum(0) * rng.uniform(0.01, 2) for n in rng.integers(2, 8, 400)]
    first = resample_many(lines, 30)
    second = resample_many([rng.permutation(line) + rng.uniform(-5, 5, 2) for line in lines], 30)
    answer = strips_meet(first, second, 2.0)
    np.testing.assert_array_equal(answer, exact(first, second, 2.0))
    assert 0.1 < answer.mean() < 0.9


def test_end_to_end_pieces_do_not_meet_however_near():
    first = resample_many([np.array([[0.0, 0.0], [0.0, 0.4]])], 100)
    second = resample_many([np.array([[0.0, 0.6], [0.0, 1.0]])], 100)
    assert not strips_meet(first, second, 2.0)[0]
    assert strips_meet(first, second + np.array([0.0, -0.3]), 2.0)[0]


def test_a_line_without_length_meets_nothing():
    point = np.zeros((1, 100, 2))
    line = resample_many([np.array([[0.0, -5.0], [0.0, 5.0]])], 100)
    assert not strips_meet(point, line, 2.0)[0]
    assert not strips_meet(line, point, 2.0)[0]
