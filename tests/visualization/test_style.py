import numpy as np
import pytest

from mapllava.geometry import arc_length
from mapllava.visualization.style import class_color, dashes, densify, put_text, text_width

BEND = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])


def test_densify_keeps_vertices_and_bounds_the_step():
    dense = densify(BEND, 0.3)
    steps = np.linalg.norm(np.diff(dense, axis=0), axis=1)
    assert steps.max() <= 0.3 + 1e-12
    for vertex in BEND:
        assert np.abs(dense - vertex).sum(1).min() < 1e-12
    assert arc_length(dense) == pytest.approx(7.0)
    assert densify(np.c_[BEND, BEND[:, :1]], 1.0).shape[1] == 3


def test_dashes_cover_every_other_stretch_round_the_bend():
    pieces = dashes(BEND, 2.0)
    assert [arc_length(p) for p in pieces] == pytest.approx([2.0, 2.0])
    np.testing.assert_allclose(pieces[0], [[0, 0], [2, 0]])
    np.testing.assert_allclose(pieces[1], [[3, 1], [3, 3]])
    assert dashes(BEND, None)[0] is BEND


def test_classes_differ_in_colour_whatever_they_are_called():
    classes = ("divider", "ped_crossing", "boundary", "stop_line", "centerline")
    colors = {class_color(classes, k) for k in range(5)}
    assert len(colors) == 5
    assert class_color(("boundary", "divider"), 1) == class_color(classes, 0)


def test_text_lands_where_it_is_told():
    image = np.full((40, 200, 3), 255, dtype=np.uint8)
    put_text(image, "30", (190, 30), (0, 0, 0), 15, "right")
    columns = np.flatnonzero((image < 128).any(axis=(0, 2)))
    assert columns.max() <= 190
    assert columns.min() >= 190 - text_width("30", 15) - 2
