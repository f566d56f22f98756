"""Cited lines stand out, the others fade, the region is outlined, question and answer are the title."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from test_sample_picture import CUT, assert_nothing_overlaps, boxes, words

from mapllava.structures import MapLines, MapSpec
from mapllava.visualization import sample_figure
from mapllava.visualization.asked import Asked
from mapllava.visualization.page import without_glyphs
from mapllava.visualization.style import CITED, FADED, REGION, class_color, pale

SPEC = MapSpec()
ALONG = np.stack([np.zeros(5), np.linspace(-25, 25, 5)], axis=1)
LINES = MapLines(
    [ALONG + np.array([x, 0]) for x in (-6, 2, 2.4, 6)],
    np.array([2, 0, 0, 2]),
    np.array([0.9, 0.8, 0.2, 0.7]),
)
RING = np.array([[-15, 0], [15, 0], [15, 20], [-15, 20], [-15, 0]], dtype=float)
LONG = "How far is the next crossing that anybody could see from here, please? " * 4


def picture(parts, views=None, **asked):
    meta, seen, *_ = parts
    given = {"question": "How many?", "answer": "Two.", "cited": (1, 3), "regions": (RING,), **asked}
    return sample_figure(meta, seen if views is None else views, None, LINES, CUT, asked=Asked(**given))


def drawn(axes):
    """Colour, width and points of each line on the map from above."""
    found = [c for c in axes.collections if isinstance(c, LineCollection)]
    return [
        (to_hex(c.get_colors()[0]), c.get_linewidths()[0], path.vertices)
        for c in found
        for path in c.get_paths()
    ]


def test_cited_lines_keep_their_colour_and_the_others_fade(parts):
    lines = drawn(picture(parts).axes[0])
    divider, boundary = class_color(SPEC.classes, 0), class_color(SPEC.classes, 2)

    def at(x):
        return next((c, w) for c, w, p in lines if len(p) == 5 and p[0, 0] == x and p[-1, 0] == x)

    assert at(2.0)[0] == divider
    assert at(6.0)[0] == boundary
    assert at(-6.0)[0] == pale(boundary, FADED.tint)
    assert at(2.4)[0] == pale(divider, FADED.tint), "lines are drawn as they are given"
    assert at(6.0)[1] / at(-6.0)[1] == pytest.approx(CITED.width / FADED.width)
    assert any(color == REGION and np.array_equal(points, RING) for color, _, points in lines)


def test_question_and_answer_are_the_title_and_nothing_overlaps(parts):
    for views, question in ((None, LONG), ([], LONG), (None, "左边有几条车道线？")):
        figure = picture(parts, views, question=question, note="line 1: divider, score 0.80")
        assert_nothing_overlaps(figure)
        heads = sorted(boxes(figure), key=lambda box: -box[1].y1)
        assert question.split()[0] in heads[0][0]
        assert "Two." in words(figure)
        assert "scene" not in words(figure)


def test_without_citations_all_lines_are_drawn_alike(parts):
    told = words(picture(parts, cited=None, answer="", regions=()))
    assert "what was asked for" in told
    assert "cited" not in told
    assert "region" not in told


def test_letters_that_no_font_has_are_told(monkeypatch):
    assert without_glyphs("How far? ≥ 3 m") == ""
    monkeypatch.setattr("mapllava.visualization.page._families", lambda: ("DejaVu Sans",))
    assert without_glyphs("前方 a 前") == "前方"
