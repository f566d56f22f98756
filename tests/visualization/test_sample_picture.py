from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text
from picture_rig import HEIGHT

from mapllava.structures import MapLines, MapSpec
from mapllava.visualization import draw_sample, map_figure, render, sample_figure
from mapllava.visualization.page import Photograph, one_style
from mapllava.visualization.style import PREDICTION, TRUTH, bgr, class_color, pale

CLASSES = ("divider", "ped_crossing", "boundary")
CUT = {
    "thresholds": {"divider": 0.5, "ped_crossing": 0.41, "boundary": 0.3},
    "source": "best F1 at 1.0 m on split val",
}


def maps(lines, shift=0.4):
    truth = MapLines(lines, np.array([0, 2]))
    moved = [line + np.array([shift, 0]) for line in lines]
    near = [line + np.array([shift + 0.2, 0]) for line in lines]
    return truth, MapLines(moved + near, np.array([0, 2, 0, 2]), np.array([0.9, 0.8, 0.7, 0.6]))


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def words(figure):
    return " ".join(text.get_text() for text in texts(figure))


def boxes(figure):
    """Where texts lie, in pixels."""
    with one_style():
        figure.draw_without_rendering()
        return [(text.get_text(), text.get_window_extent()) for text in texts(figure)]


def assert_nothing_overlaps(figure):
    found = boxes(figure)
    sides = figure.bbox.extents
    for name, box in found:
        assert (box.extents[:2] >= sides[:2]).all(), name
        assert (box.extents[2:] <= sides[2:]).all(), name
    for (one, first), (two, second) in combinations(found, 2):
        assert not first.overlaps(second), f"{one!r} covers {two!r}"
    pictures = np.array([photograph_box(figure, photo) for photo in figure.findobj(Photograph)])
    for first, second in combinations(pictures, 2):
        assert not ((first[:2] < second[2:]) & (second[:2] < first[2:])).all()


def photograph_box(figure, photo):
    """Left, top, right, bottom in pixels."""
    x, y = photo.get_transform().transform(photo.place)
    height, width = photo.image.shape[:2]
    bottom = round(figure.bbox.height - y)
    return round(x), bottom - height, round(x) + width, bottom


@pytest.mark.parametrize("cameras", [0, 1, 4, 6])
@pytest.mark.parametrize("known", ["truth", "prediction", "both"])
def test_no_text_covers_another_and_all_cameras_are_there(parts, cameras, known):
    meta, views, lines = parts
    truth, prediction = maps(lines)
    given = (truth if known != "prediction" else None, prediction if known != "truth" else None)
    score = "F1 0.61 at 1.0 m, mAP 58.7 (val)"
    figure = sample_figure(meta, views[:cameras], *given, CUT, score, width=800)
    assert len(figure.findobj(Photograph)) == cameras
    assert_nothing_overlaps(figure)


def test_a_long_score_stands_below_the_name(parts):
    meta, views, lines = parts
    score = "a score that says everything about itself, with split, protocol and interval; " * 3
    figure = sample_figure(meta, views[:1], maps(lines)[0], None, score=score, width=800)
    assert_nothing_overlaps(figure)
    assert "".join(score.split()) in "".join(words(figure).split())


def test_a_picture_of_a_map_that_a_prompt_has_cut_says_so(parts):
    meta, _, lines = parts
    figure = sample_figure({**meta, "prompt": "draw: boundary"}, (), None, maps(lines)[1], width=800)
    assert "asked for alone, no whole map: draw: boundary" in words(figure)


def test_the_legend_names_only_what_is_there(parts):
    meta, views, lines = parts
    truth, prediction = maps(lines)
    alone = words(sample_figure(meta, views[:1], None, prediction, CUT))
    assert "truth" not in alone
    assert "best F1 at 1.0 m" in alone
    assert "2 near-duplicates not drawn" in alone
    known = words(sample_figure(meta, views[:1], truth, None))
    assert "prediction" not in known
    assert "score" not in known
    assert "ground truth" in known
    both = words(sample_figure(meta, views[:1], truth, prediction))
    assert "prediction over ground truth" in both
    assert "fallback" in both
    assert "$" in words(sample_figure({**meta, "scene_name": "a_$b_c$"}, [], truth, None))


@pytest.mark.parametrize("role", [TRUTH, PREDICTION], ids=lambda role: role.name)
def test_lines_lie_on_photographs_where_they_project_to(parts, role):
    meta, views, lines = parts
    front, boundary = views[0], MapLines(lines[:1], np.array([2]), np.ones(1))
    given = (boundary, None) if role is TRUTH else (None, boundary)
    figure = sample_figure(meta, [front], *given)
    picture = render(figure).astype(int)
    left, top, right, _ = photograph_box(figure, figure.findobj(Photograph)[0])
    u, v, depth, _ = front.lidar2img @ [lines[0][0, 0], 12.0, -HEIGHT, 1]
    scale = (right - left) / front.image.shape[1]
    x, y = int(left + (u / depth + 0.5) * scale), int(top + (v / depth + 0.5) * scale)
    color = class_color(CLASSES, 2)
    wanted = bgr(pale(color, role.tint))
    around = picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)
    assert (np.abs(around - wanted).max(axis=1) < 40).any()
    assert (picture[y, left + right - x] == 90).all()  # nothing on the other side


def test_several_predictions_stand_side_by_side(parts):
    meta, views, lines = parts
    truth, prediction = maps(lines)
    runs = {f"the run of epoch {k}": prediction for k in (1, 5, 9)}
    figure = sample_figure(meta, views, truth, runs, width=800)
    assert {axis.get_title() for axis in figure.axes} == {
        "1: the run of epoch 1",
        "2: the run of epoch 5",
        "3: the run of epoch 9",
    }
    assert "ped crossing" in [text.get_text() for text in texts(figure)]  # not cut for want of room
    assert_nothing_overlaps(figure)


def test_a_map_alone_is_no_wider_than_it_needs(parts):
    _, _, lines = parts
    truth, prediction = maps(lines)
    one, three = map_figure(MapSpec(), None, prediction), map_figure(MapSpec(), truth, prediction)
    assert render(one).shape[1] < 0.6 * render(three).shape[1]
    assert_nothing_overlaps(one)


def test_nothing_found_is_drawn_too(parts):
    meta, views, _ = parts
    nothing = MapLines([], np.array([]), np.array([]))
    assert draw_sample(meta, views[:1], None, nothing, width=480).shape[1] == 480
