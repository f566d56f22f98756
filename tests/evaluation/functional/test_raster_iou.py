import numpy as np
import pytest
import shapely

from mapllava.evaluation.functional import raster_iou
from mapllava.geometry.raster import draw_lines
from mapllava.structures import ROI

BOX = ROI(-15, -30, 15, 30)


def upright(x, low=-30.0, high=30.0):
    return np.array([[x, low], [x, high]])


def sample(*lines):
    return {
        "points": [p for _, p in lines],
        "labels": [label for label, _ in lines],
        "scores": [0.5] * len(lines),
    }


def test_cells_whose_centre_lies_within_half_the_width():
    rng = np.random.default_rng(0)
    lines = [rng.uniform(-20, 20, 2) + rng.normal(size=(6, 2)).cumsum(0) * 5 for _ in range(8)]
    lines.append(np.array([[3.3, 4.4], [3.3, 4.4]]))
    mask = draw_lines(lines, BOX, width=0.9, cell=0.3)
    assert mask.shape == (200, 100)
    x, y = np.meshgrid(-15 + 0.3 * (np.arange(100) + 0.5), -30 + 0.3 * (np.arange(200) + 0.5))
    shapes = [*(shapely.linestrings(line) for line in lines[:-1]), shapely.Point(3.3, 4.4)]
    gap = np.min([shapely.distance(shape, shapely.points(x, y)) for shape in shapes], axis=0)
    np.testing.assert_array_equal(mask, gap <= 0.45)


def test_no_line_draws_nothing():
    assert not draw_lines([], BOX, 1.0, 0.5).any()


def test_overlap_by_hand():
    # Strips 1 m wide, 0.5 m apart: half of each overlaps, so a third of the union.
    iou = raster_iou([sample((0, upright(0.5)))], [sample((0, upright(0.0)))], ["a"], BOX, [0.0], 1.0, 0.1)
    assert iou["iou"][0] == pytest.approx(1 / 3, abs=0.02)
    assert iou["mean"] == iou["iou"][0]


def test_ground_truth_covers_itself_and_classes_stay_apart():
    one = sample((0, upright(0.0)), (1, upright(5.0)))
    assert raster_iou([one], [one], ["a", "b"], BOX, [0, 0])["iou"].tolist() == [1.0, 1.0]
    other = sample((1, upright(0.0)), (0, upright(5.0)))
    assert raster_iou([other], [one], ["a", "b"], BOX, [0, 0])["iou"].tolist() == [0.0, 0.0]


def test_cells_are_counted_over_all_samples():
    full, half = sample((0, upright(0.0))), sample((0, upright(0.0, -30.0, 0.0)))
    iou = raster_iou([full, half], [full, full], ["a"], BOX, [0])["iou"][0]
    assert iou == pytest.approx(0.75, abs=0.01)


def test_predictions_below_their_class_score_are_not_drawn():
    one = sample((0, upright(0.0)), (1, upright(5.0)))
    iou = raster_iou([one], [one], ["a", "b"], BOX, [0.6, 0.5])
    assert iou["iou"].tolist() == [0.0, 1.0]
    assert raster_iou([one], [one], ["a", "b"], BOX, [np.nan, 0.5])["iou"][0] == 0.0


def test_class_that_nobody_drew_has_no_iou():
    one = sample((0, upright(0.0)))
    iou = raster_iou([one], [one], ["a", "b"], BOX, [0, 0])
    assert np.isnan(iou["iou"][1])
    assert iou["mean"] == 1.0


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="must be positive metres"):
        raster_iou([], [], ["a"], BOX, [0], width=0.0)
