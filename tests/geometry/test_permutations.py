from __future__ import annotations

import numpy as np
import pytest

from mapllava.geometry import equivalent_orders, order_table

SQUARE = np.array([[0.0, 0], [2, 0], [2, 1], [0, 1], [0, 0]])


def test_open_line_reads_both_ways():
    assert equivalent_orders(4, closed=False).tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]


def test_directed_lines_do_not_turn():
    assert equivalent_orders(3, closed=False, directed=True).tolist() == [[0, 1, 2]]
    assert equivalent_orders(4, closed=True, directed=True).tolist() == [
        [0, 1, 2, 0],
        [1, 2, 0, 1],
        [2, 0, 1, 2],
    ]


def test_triangle_by_hand():
    want = [[0, 1, 2, 0], [1, 2, 0, 1], [2, 0, 1, 2], [0, 2, 1, 0], [1, 0, 2, 1], [2, 1, 0, 2]]
    assert equivalent_orders(4, closed=True).tolist() == want


def test_rolled_ring_has_neither_gap_nor_edge_of_zero_length():
    orders = equivalent_orders(len(SQUARE), closed=True)
    assert orders.shape == (8, 5)
    assert np.array_equal(SQUARE[orders[0]], SQUARE)
    for ring in SQUARE[orders]:
        assert np.array_equal(ring[0], ring[-1])
        assert sorted(np.linalg.norm(np.diff(ring, axis=0), axis=1)) == [1, 1, 2, 2]
    assert len({ring.tobytes() for ring in SQUARE[orders]}) == 8


def test_twenty_points_give_thirty_eight_orders():
    assert equivalent_orders(20, closed=True).shape == (38, 20)


def test_table_pads_open_lines_by_repeating():
    table = order_table(5)
    assert table.shape == (2, 8, 5)
    assert np.array_equal(table[1], equivalent_orders(5, closed=True))
    assert {tuple(row) for row in table[0]} == {(0, 1, 2, 3, 4), (4, 3, 2, 1, 0)}
    assert table[0, 0].tolist() == [0, 1, 2, 3, 4]
    assert table.dtype == np.int64


def test_directed_table_pads_and_never_turns():
    table = order_table(5, directed=True)
    assert table.shape == (2, 8, 5)
    assert {tuple(row) for row in table[0]} == {(0, 1, 2, 3, 4)}
    assert {tuple(row) for row in table[1]} == {tuple(r) for r in equivalent_orders(5, True, directed=True)}


def test_table_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        order_table(5)[0, 0, 0] = 3


@pytest.mark.parametrize(("n", "closed"), [(1, False), (2, True), (0, True)])
def test_too_few_points(n, closed):
    with pytest.raises(ValueError, match="at least"):
        equivalent_orders(n, closed)
