import numpy as np
import pytest

from mapllava.evaluation.functional.chamfer import chamfer_distance, chamfer_lower_bound, chamfer_of_pairs


def test_parallel_lines_are_their_gap_apart():
    line = np.array([[0.0, 0.0], [0.0, 10.0]])
    assert chamfer_distance(line, line + np.array([0.75, 0.0])) == pytest.approx(0.75)


def test_direction_and_start_vertex_do_not_matter():
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
    rolled = np.array([[4.0, 4.0], [4.0, 0.0], [0.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    assert chamfer_distance(ring, rolled, num_points=101) == pytest.approx(0.0, abs=1e-9)


def test_mean_of_the_two_sides_not_their_sum_or_maximum():
    # Three points of the long line at 0, 1, 2 m; the short one is a single place at 0 m.
    long, short = np.array([[0.0, 0.0], [2.0, 0.0]]), np.zeros((2, 2))
    assert chamfer_distance(long, short, num_points=3) == pytest.approx((1.0 + 0.0) / 2)


def test_pairs_agree_with_the_definition_written_out():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(300, 20, 2)), rng.normal(size=(300, 30, 2))
    gap = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1)
    expected = (gap.min(2).mean(1) + gap.min(1).mean(1)) / 2
    np.testing.assert_allclose(chamfer_of_pairs(first, second), expected, atol=1e-12)


@pytest.mark.parametrize("points", [2, 7, 100])
def test_lower_bound_never_exceeds_the_distance(points):
    rng = np.random.default_rng(1)
    first = rng.normal(size=(60, points, 2)).cumsum(1) + rng.uniform(-9, 9, (60, 1, 2))
    second = rng.normal(size=(40, points, 2)).cumsum(1) + rng.uniform(-9, 9, (40, 1, 2))
    pairs = tuple(k.reshape(-1) for k in np.indices((60, 40)))
    bound = chamfer_lower_bound(first, second, pairs)
    distance = chamfer_of_pairs(first[pairs[0]], second[pairs[1]])
    assert (bound <= distance + 1e-12).all()
    assert bound.max() > 5.0


@pytest.mark.parametrize("shift", [[4.0, 0.0], [-4.0, 0.0]])
def test_lower_bound_is_tight_for_parallel_straight_lines(shift):
    line = np.stack([np.zeros(50), np.linspace(0, 10, 50)], axis=1)[None]
    bound = chamfer_lower_bound(line, line + np.array(shift), (np.array([0]), np.array([0])))
    assert bound[0] == pytest.approx(4.0)


def test_a_distance_is_the_same_number_whichever_pairs_are_taken_with_it():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 257, 100, 2))
    together = chamfer_of_pairs(first, second)
    assert all(chamfer_of_pairs(first[k : k + 1], second[k : k + 1])[0] == together[k] for k in range(257))
