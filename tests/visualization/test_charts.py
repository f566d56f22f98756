import numpy as np
import pytest

from mapllava.visualization.charts import PALETTE, Bar, draw_bars, draw_columns, draw_curves, nice_ticks


def pixels(picture, color):
    return int((picture == np.array(color)).all(axis=-1).sum())


def spread(picture, color, axis):
    found = np.nonzero((picture == np.array(color)).all(axis=-1))[axis]
    return int(found.max() - found.min())


def test_ticks_are_round_and_enclose():
    assert nice_ticks(0, 60.7) == [0, 20, 40, 60, 80]
    assert nice_ticks(-1.9, 60) == [-20, 0, 20, 40, 60]
    assert nice_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert len(nice_ticks(0, 0)) >= 2


def test_a_bar_of_twice_the_value_is_twice_as_long():
    widths = []
    for value in (20.0, 40.0):
        rest = Bar("scale", 100.0, -1.0, 101.0)  # grey: its interval includes zero
        widths.append(spread(draw_bars([Bar("a", value, value - 1, value + 1), rest], "t"), PALETTE[0], 1))
    assert widths[1] / widths[0] == pytest.approx(2.0, rel=0.02)


def test_a_bar_that_is_not_told_from_zero_is_grey():
    assert pixels(draw_bars([Bar("a", 5.0, 2.0, 8.0)], "t"), PALETTE[0]) > 1000
    assert pixels(draw_bars([Bar("a", 5.0, -2.0, 8.0)], "t"), PALETTE[0]) == 0


def test_columns_are_as_high_as_their_values():
    picture = draw_columns(["x", "y"], {"one": [1.0, 2.0], "two": [4.0, 4.0]}, "t")
    left = picture[:, : picture.shape[1] // 2]
    heights = [spread(left[130:], PALETTE[index], 0) for index in (0, 1)]
    assert heights[1] / heights[0] == pytest.approx(4.0, rel=0.05)


def test_a_curve_of_one_decade_per_step_is_straight_and_small_values_lie_on_the_floor():
    picture = draw_curves({"a": [1.0, 0.1, 0.01, 0.0]}, "t", decades=4)
    rows, cols = np.nonzero((picture[140:] == np.array(PALETTE[0])).all(axis=-1))
    lowest = [rows[cols == col].mean() for col in (300, 600)]
    assert lowest[1] > lowest[0]
    assert rows.max() > 395


@pytest.mark.parametrize(
    "draw", [lambda: draw_bars([], "t"), lambda: draw_columns([], {}, "t"), lambda: draw_curves({}, "t")]
)
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(ValueError, match="to draw"):
        draw()


def test_long_legends_stay_inside():
    picture = draw_curves({f"a rather long name of series {i}": [1.0, 2.0] for i in range(4)}, "t")
    assert (picture[:, -8:] == picture[0, 0]).all()
