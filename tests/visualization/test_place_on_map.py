from itertools import combinations

import cv2
import numpy as np
import pytest

from mapllava.visualization.charts import open_chart
from mapllava.visualization.place_on_map import PlacesOnMap, _number, draw_places


def places(shown, count=40):
    positions = np.stack([np.arange(count) * 5.0, np.zeros(count)], axis=-1)
    names = [(number, f"scene-{number}") for number in range(1, len(shown) + 1)]
    lines = [np.array([[0.0, 4.0], [100.0, 4.0]]), np.array([[0.0, -4.0], [100.0, -4.0]])]
    return PlacesOnMap(positions, shown, names, lines, [0, 2], ("divider", "ped_crossing", "boundary"))


def red(path):
    picture = cv2.imread(str(path)).astype(int)
    return int((np.abs(picture - (0x28, 0x28, 0xD7)).sum(axis=-1) < 40).sum())


def test_shown_places_are_marked_and_a_long_list_has_room(tmp_path):
    none, two = (draw_places(tmp_path / f"{len(s)}.png", places(s), "a", 30.0) for s in ([], [3, 20]))
    assert red(two) > red(none) + 100
    many = draw_places(tmp_path / "many.png", places(list(range(70)), 80), "a", 30.0)
    assert cv2.imread(str(many)).shape[0] > cv2.imread(str(two)).shape[0]
    with pytest.raises(ValueError, match="no positions"):
        draw_places(tmp_path / "x.png", PlacesOnMap(np.zeros((0, 2)), [], [], [], [], ("a",)), "a", 1.0)


def test_numbers_of_near_places_do_not_cover_each_other(tmp_path):
    with open_chart(tmp_path / "a.png", "t", size=(600, 600)) as (figure, axes):
        axis = axes[0, 0]
        axis.set(xlim=(0, 100), ylim=(0, 100))
        figure.draw_without_rendering()
        _number(axis, np.array([[50.0, 50.0], [51.0, 50.0], [50.0, 52.0], [52.0, 51.0]]), [7, 8, 12, 113])
        figure.draw_without_rendering()
        boxes = [text.get_bbox_patch().get_window_extent() for text in axis.texts]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
