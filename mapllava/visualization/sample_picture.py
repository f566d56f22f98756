"""One picture of one sample: its cameras and the map from above, truth and prediction apart at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.evaluation.near_duplicates import NEAR
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.visualization.asked import Asked, draw_regions
from mapllava.visualization.camera_overlay import camera_lines
from mapllava.visualization.camera_rows import CameraView, arrange, row_heights
from mapllava.visualization.legend import Shown, blocks_of
from mapllava.visualization.map_axes import draw_map_axes, line_collection
from mapllava.visualization.style import (
    INK,
    MUTED,
    PAPER,
    REGION,
    REGION_FORM,
    REGION_ROLE,
    Role,
    class_color,
    class_form,
)
from mapllava.visualization.thinning import ScoreCut

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mapllava.visualization.page import Box, Page

_WIDTH, _MARGIN, _GAP = 1600.0, 24.0, 8.0
_SIDE = 336.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 14.0, 34.0, 54.0  # around a map: numbers, title
_MAP_HEIGHT = 700.0
_LEGEND = 400.0  # room for the longest
_TITLE, _SCORE = 24.0, 18.0


def draw_sample(
    meta: Mapping[str, Any],
    views: Sequence[CameraView],
    ground_truth: MapLines | None,
    prediction: MapLines | Mapping[str, MapLines] | None,
    score_thr: Any = None,
    score: str = "",
    width: int = 1600,
) -> np.ndarray:
    """Draw a sample; arguments as :func:`sample_figure`.

    Returns:
        ``(H, width, 3)`` uint8 BGR; H is even.
    """
    from mapllava.visualization.write import render

    return render(sample_figure(meta, views, ground_truth, prediction, score_thr, score, width))


def sample_figure(
    meta: Mapping[str, Any],
    views: Sequence[CameraView],
    ground_truth: MapLines | None,
    prediction: MapLines | Mapping[str, MapLines] | None,
    score_thr: Any = None,
    score: str = "",
    width: int = 1600,
    asked: Asked | None = None,
) -> Figure:
    """Lay out a sample: cameras that look ahead above those that look back, maps between or beside them.

    Args:
        meta: ``map_spec`` (a dict), ``lidar2ego`` (4, 4), and for the title ``sample_token``,
            ``split``, ``scene_name``, ``location``, ``prompt`` (what the prediction was cut by), as far as
            known.
        views: Any number of cameras of any size; they stand as they look.
        ground_truth: None where it is not known.
        prediction: None where there is none; several by name stand side by side.
        score_thr: Lowest score drawn: a number, or ``thresholds`` per class with their ``source``;
            None takes 0.3 and says so. Near-duplicates are thinned (:func:`thin`).
        score: Written in the header, e.g. ``'mAP 62.1 (val, epoch 24)'``.
        width: Pixels; everything is drawn in proportion.
        asked: What was asked of the one ``prediction``, which is drawn as it is given then: cut and thinned
            before. Question and answer stand in place of the sample's name.

    Returns:
        Matplotlib's figure, for :func:`render` or :func:`write_picture`.
    """
    from mapllava.visualization.page import one_style

    spec = MapSpec.from_config(meta["map_spec"])
    if asked is not None and isinstance(prediction, MapLines):
        shown = Shown(spec, None, {"": prediction}, ScoreCut.of(score_thr, spec.classes), 0, asked)
    else:
        shown = what_is_shown(spec, ground_truth, prediction, score_thr)
    with one_style():
        layout = _beside if len(shown.panels()) == 1 and views else _stacked
        return layout(shown, meta, views, score, width)


def map_figure(
    map_spec: MapSpec,
    ground_truth: MapLines | None = None,
    prediction: MapLines | Mapping[str, MapLines] | None = None,
    score_thr: Any = None,
    title: str = "",
    width: int = 1600,
) -> Figure:
    """The map from above with its legend, without photographs; arguments as :func:`sample_figure`."""
    meta = {"map_spec": map_spec, "scene_name": title}
    return sample_figure(meta, (), ground_truth, prediction, score_thr, "", width)


def what_is_shown(
    spec: MapSpec,
    truth: MapLines | None,
    prediction: MapLines | Mapping[str, MapLines] | None,
    score_thr: Any = None,
) -> Shown:
    """Cut and thin predictions for drawing; arguments as :func:`sample_figure`."""
    named = {"prediction": prediction} if isinstance(prediction, MapLines) else dict(prediction or {})
    if not named:
        return Shown(spec, truth)
    cut = ScoreCut.of(score_thr, spec.classes)
    drawn = {name: cut.drawn(lines) for name, lines in named.items()}
    lines = {name: thinned for name, (thinned, _) in drawn.items()}
    return Shown(spec, truth, lines, cut, sum(count for _, count in drawn.values()))


def _stacked(
    shown: Shown, meta: Mapping[str, Any], views: Sequence[CameraView], score: str, width: int
) -> Figure:
    """Cameras above and below the maps, which stand side by side beside the legend."""
    from mapllava.visualization.page import Page

    panels = shown.panels()
    rows, ahead = arrange(views, shown.spec.frame)
    heights = row_heights(rows, _WIDTH - 2 * _MARGIN, _GAP, 0.3 * _WIDTH)
    room = _WIDTH - 2 * _MARGIN - _SIDE
    size = map_size(shown.spec, room / len(panels), _MAP_HEIGHT)
    gap = min(40.0, (room - size[0] * len(panels)) / max(len(panels) - 1, 1))
    used = (size[0] + gap) * len(panels) - gap
    room, paper = (room, _WIDTH) if rows else (used, _WIDTH - room + used)
    head, draw_head = shown.asked.header(paper, _MARGIN) if shown.asked else header(meta, score, paper)
    middle = max(size[1], _LEGEND) + 2 * _GAP
    tall = head + sum(heights) + _GAP * len(rows) + middle + (_MARGIN - _GAP if rows else 0)
    page = Page(paper, tall, round(width * paper / _WIDTH))
    draw_head(page)
    y = head
    for number in range(len(rows) + 1):
        if number == ahead:
            _draw_maps(
                page, shown, meta, (_MARGIN, y + _GAP, _SIDE + (room - used) / 2, size[1]), size[0] + gap
            )
            y += middle
        if number < len(rows):
            draw_row(page, rows[number], (_MARGIN, y, _WIDTH - 2 * _MARGIN, heights[number]), shown, meta)
            y += heights[number] + _GAP
    return page.figure


def _draw_maps(page: Page, shown: Shown, meta: Mapping[str, Any], box: Box, step: float) -> None:
    """The legend from the box's upper left corner, the maps from its right edge on, one every ``step``."""
    left, top, side, height = box
    bottom = top + 12
    for block in blocks_of(shown, meta):
        bottom = block(page, left, bottom, _SIDE - 40) + 22
    wide = map_size(shown.spec, step, height)[0]
    for number, panel in enumerate(shown.panels()):
        draw_panel(page, shown.spec, panel, (left + side + number * step, top, wide, height), shown.asked)


def _beside(
    shown: Shown, meta: Mapping[str, Any], views: Sequence[CameraView], score: str, width: int
) -> Figure:
    """One map, as high as the cameras beside it and the legend under them."""
    from mapllava.visualization.page import Page

    head, draw_head = shown.asked.header(_WIDTH, _MARGIN) if shown.asked else header(meta, score, _WIDTH)
    rows, _ = arrange(views, shown.spec.frame)
    strip = 150.0
    inner = _WIDTH - 2 * _MARGIN - 20
    low, high = 200.0, 1400.0
    for _ in range(30):  # the map grows, the cameras shrink, until both are as high
        tall = (low + high) / 2
        size = map_size(shown.spec, 0.6 * inner, tall)
        heights = row_heights(rows, inner - size[0], _GAP, 0.42 * _WIDTH)
        cameras = sum(heights) + _GAP * (len(rows) - 1) + strip
        low, high = (tall, high) if size[1] < cameras and size[1] >= tall - 1 else (low, tall)
    page = Page(_WIDTH, head + max(size[1], cameras) + _MARGIN, width)
    draw_head(page)
    draw_panel(page, shown.spec, shown.panels()[0], (_MARGIN, head, *size), shown.asked)
    left, y = _MARGIN + size[0] + 20, head
    for row, height in zip(rows, heights, strict=True):
        draw_row(page, row, (left, y, inner - size[0], height), shown, meta)
        y += height + _GAP
    blocks = blocks_of(shown, meta)
    share = (inner - size[0] - 40 * (len(blocks) - 1)) / len(blocks)
    for number, block in enumerate(blocks):
        block(page, left + number * (share + 40), y + 14, share)
    return page.figure


def map_size(spec: MapSpec, room: float, height: float) -> tuple[float, float]:
    """Width and height of a map with its numbers and title, within what there is."""
    along, across = spec.roi.length_and_width(spec.frame)
    scale = min((room - _LEFT - _RIGHT) / across, (height - _TOP - _BOTTOM) / along)
    return across * scale + _LEFT + _RIGHT, along * scale + _TOP + _BOTTOM


def draw_panel(
    page: Page, spec: MapSpec, panel: tuple[str, Any], box: Box, asked: Asked | None = None
) -> None:
    """Draw a map with its numbers and title into a box of :func:`map_size`; ``panel`` is title and layers."""
    left, top, width, height = box
    inside = (left + _LEFT, top + _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM)
    ax = page.axes(inside)
    draw_map_axes(ax, spec, panel[1], panel[0])
    if asked is not None:
        draw_regions(ax, spec, asked.regions)


def header(meta: Mapping[str, Any], score: str, width: float) -> tuple[float, Any]:
    """Height of the header, and what draws it: name on the left, score on the right or below."""
    from mapllava.visualization.page import fitting, text_width, wrap

    name = str(meta.get("scene_name") or "")
    rest = [meta.get("location"), meta.get("split") and f"split {meta['split']}"]
    if meta.get("prompt"):
        rest.insert(0, f"asked for alone, no whole map: {meta['prompt']}")
    words = " · ".join(str(part) for part in rest if part)
    room = width - 2 * _MARGIN
    used = text_width(name, _TITLE, bold=True) + (16 + text_width(words, _SCORE) if words else 0)
    beside = used + 40 + text_width(score, _SCORE) <= room
    lines = [] if beside or not score else wrap(score, _SCORE, room)
    if not (name or words or score):
        return _MARGIN, lambda page: None

    def draw(page: Page) -> None:
        page.text(fitting(name, _TITLE, 0.6 * room, bold=True), (_MARGIN, 40), _TITLE, INK, bold=True)
        start = min(text_width(name, _TITLE, bold=True), 0.6 * room) + (16 if name else 0)
        if words:
            page.text(fitting(words, _SCORE, room - start), (_MARGIN + start, 40), _SCORE, MUTED)
        if beside and score:
            page.text(score, (width - _MARGIN, 40), _SCORE, INK, "right")
        for number, line in enumerate(lines):
            page.text(line, (_MARGIN, 68 + 25 * number), _SCORE, INK)

    return 60.0 + 25 * len(lines), draw


def draw_row(page: Page, row: Sequence[CameraView], box: Box, shown: Shown, meta: Mapping[str, Any]) -> None:
    """Draw cameras side by side in the middle of a box of their height, with what is shown on photographs."""
    from mapllava.visualization.page import rows_of

    left, top, width, height = box
    widths = [view.aspect * height for view in row]
    for view, start, wide in zip(row, rows_of(widths, width, _GAP), widths, strict=True):
        _draw_camera(page, view, (left + start, top, wide, height), shown, meta)


def _draw_camera(page: Page, view: CameraView, box: Box, shown: Shown, meta: Mapping[str, Any]) -> None:
    from mapllava.visualization.page import fitting, text_width

    left, top, width, height = box = page.photograph(view.image, box)
    size = (view.image.shape[1], view.image.shape[0])
    scale = np.array([width / size[0], height / size[1]])

    def runs_of(lines: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        runs = camera_lines(lines, view.lidar2img, meta["lidar2ego"], shown.spec, size)
        # pixel centres are whole numbers, a pixel's corner lies half a one before it
        return [[(run + 0.5) * scale + (left, top) for run in found] for found in runs]

    for found in runs_of(shown.asked.regions if shown.asked else ()):
        page.add(line_collection(found, REGION, REGION_FORM, REGION_ROLE), box)
    for lines, role in shown.on_photographs():
        runs = runs_of(lines.points)
        for label in np.unique(lines.labels).tolist():
            mine = [run for of, found in zip(lines.labels, runs, strict=True) for run in found if of == label]
            if mine:
                _draw_runs(page, mine, label, shown.spec.classes, role, box)
    name = fitting(view.label, 15.0, width - 20)
    page.rectangle((left, top, text_width(name, 15.0) + 18, 26), "#000000", 0.6, 6)
    page.text(name, (left + 9, top + 18.5), 15.0, PAPER).set_zorder(7)


def _draw_runs(
    page: Page, runs: list[np.ndarray], label: int, classes: tuple[str, ...], role: Role, box: Box
) -> None:
    """Lines on a photograph, lifted off it by an outline: dark under pale truth, white under predictions."""
    form, color = class_form(classes, label), class_color(classes, label)
    if role.outline is not None:
        outline, rim = role.outline
        page.add(line_collection(runs, outline, form, role, rim), box)
    page.add(line_collection(runs, color, form, role), box)


__all__ = ["NEAR", "CameraView", "draw_sample", "map_figure", "sample_figure", "what_is_shown"]
