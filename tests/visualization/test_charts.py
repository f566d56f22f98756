import cv2
import matplotlib
import numpy as np
import pytest

from mapllava.visualization.charts import draw_distances, open_chart, place_legend
from mapllava.visualization.style import PALETTE


def pixels(path, color):
    rgb = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return (cv2.imread(str(path))[..., ::-1] == rgb).all(axis=-1)


def test_a_chart_has_its_size_and_the_one_style_and_leaves_no_setting_behind(tmp_path):
    before = dict(matplotlib.rcParams)
    with open_chart(tmp_path / "new" / "a.png", "title", size=(640, 480)) as (_, axes):
        axes[0, 0].plot([1, 2])
    assert dict(matplotlib.rcParams) == before
    assert cv2.imread(str(tmp_path / "new" / "a.png")).shape == (480, 640, 3)
    assert pixels(tmp_path / "new" / "a.png", PALETTE[0]).any()


def test_long_legends_stay_inside(tmp_path):
    with open_chart(tmp_path / "a.png", "title") as (_, axes):
        for number in range(4):
            axes[0, 0].plot([1, 2], label=f"{number}: a rather long name of a series, rank 12.3 of 768")
        place_legend(axes[0, 0], columns=2)
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert (picture[:, :8] == picture[0, 0]).all()
    assert (picture[:, -8:] == picture[0, 0]).all()


def test_powers_of_ten_are_written_as_such_and_a_name_as_it_is(tmp_path):
    with open_chart(tmp_path / "a.png", "cost_$a$") as (figure, axes):
        axes[0, 0].plot([1, 2], [1, 1000])
        axes[0, 0].set_yscale("log")
        assert all(label.get_parse_math() for label in axes[0, 0].get_yticklabels())
        assert not figure.texts[0].get_parse_math()


def test_a_chart_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(KeyError), open_chart(tmp_path / "a.png", "title"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_bars_of_distances_are_as_high_as_their_shares(tmp_path):
    path = draw_distances(tmp_path / "a.png", np.array([0.5, 0.5, 3.0, np.inf]), (1.0, 5.0), "title")
    bar = pixels(path, PALETTE[0])
    assert bar.shape == (560, 1000)
    heights = [int(bar[:, x].sum()) for x in (230, 530, 830)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=2)
    assert heights[1] == pytest.approx(heights[2], abs=1)
    assert heights[1] > 50
    with pytest.raises(ValueError, match="no distances"):
        draw_distances(tmp_path / "b.png", np.zeros(0), (1.0,), "title")
