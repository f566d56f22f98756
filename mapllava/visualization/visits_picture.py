"""What the network is shown of a sample: several visits side by side, images, targets, raster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.structures import MapLines
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_data_sample import to_numpy
from mapllava.visualization.camera_rows import CameraView, arrange, row_heights
from mapllava.visualization.from_data_sample import ground_truth_lines
from mapllava.visualization.legend import TEXT, Shown, class_table
from mapllava.visualization.map_axes import draw_map_axes, line_collection, upright
from mapllava.visualization.sample_picture import draw_row, header, map_size
from mapllava.visualization.style import INK, MUTED, PAPER, Role, class_color, class_form

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mapllava.visualization.page import Box, Page

_WIDTH, _MARGIN, _GAP = 1600.0, 24.0, 8.0
_BETWEEN = 32.0
_PER_ROW = 3
_COLUMN = 690.0
_LEAST = 1100.0  # header and legend need it
_MAP_HEIGHT = 620.0
_LEFT, _TOP, _SIDES, _ENDS = 62.0, 34.0, 76.0, 84.0  # around a map, as map_size counts them
_TITLE = 17.0
_POINTS = Role("target", width=1.1, order=3)
_FIRST, _LARGE, _SMALL = 8.5, 4.8, 1.8  # points: the first dot's ring, dots from the first to the last


@dataclass(frozen=True, eq=False)
class SeenVisit:
    """One visit to a sample, as the network gets it.

    Attributes:
        title: Which visit it is.
        meta: The data sample's meta information.
        views: The network's images with the network's own projections.
        lines: What is learned: the resampled targets, or the raw lines where the pipeline makes none.
        raster: (C, Y, X) the BEV target, row 0 at the ROI's ``y_min``; None where the pipeline makes none.
        resampled: Whether ``lines`` are targets.
    """

    title: str
    meta: dict[str, Any]
    views: list[CameraView]
    lines: MapLines
    raster: np.ndarray | None
    resampled: bool


def seen_visit(data: Mapping[str, Any], title: str) -> SeenVisit:
    """Take a visit out of what the data set gives.

    Args:
        data: ``inputs`` with ``img`` (N, 3, H, W) uint8 BGR, and ``data_samples``.
        title: Which visit it is.

    Raises:
        MapLLaVAError: If the pipeline does not end in ``PackMapInputs``, or keeps no matrices.
    """
    try:
        images, sample = data["inputs"]["img"], data["data_samples"]
        meta = dict(sample.metainfo)
        matrices = to_numpy(meta["lidar2img"])
    except (KeyError, TypeError, AttributeError) as error:
        raise MapLLaVAError(
            f"the pipeline's samples have no {error}: end it in PackMapInputs, which hands on inputs.img, "
            "data_samples and lidar2img"
        ) from error
    pixels = np.ascontiguousarray(to_numpy(images).transpose(0, 2, 3, 1)).astype(np.uint8)
    names = list(meta.get("cam_names") or [f"CAM_{k}" for k in range(len(pixels))])
    views = [CameraView(*view) for view in zip(names, pixels, matrices, strict=True)]
    resampled = "gt_instances" in sample
    if resampled:
        targets = sample.gt_instances
        lines = MapLines(list(to_numpy(targets.points).astype(np.float64)), to_numpy(targets.labels))
        lines.points = [
            np.concatenate([line, line[:1]]) if closed and not np.allclose(line[0], line[-1]) else line
            for line, closed in zip(lines.points, to_numpy(targets.closed), strict=True)
        ]
    else:
        lines = ground_truth_lines(sample) or MapLines([], np.zeros(0, dtype=np.int64))
    raster = to_numpy(sample.gt_bev.data) if "gt_bev" in sample else None
    return SeenVisit(title, meta, views, lines, raster, resampled)


def visits_figure(visits: Sequence[SeenVisit], note: str = "", scale: float = 1.0) -> Figure:
    """Lay out the visits to one sample, up to three in a row.

    Above, the network's images with the targets projected by the network's matrices: a flip or a crop that
    left something behind shows. Below, the targets' points (the first ringed, dots shrink to the
    last) and the BEV target.

    Args:
        visits: Of one sample.
        note: Written in the header.
        scale: Pixels a unit; a visit is about 690 units wide.

    Returns:
        Matplotlib's figure, for :func:`~mapllava.visualization.write_picture`.
    """
    from mapllava.visualization.page import Page, one_style

    with one_style():
        first = visits[0]
        spec = MapSpec.from_config(first.meta["map_spec"])
        columns = min(_PER_ROW, len(visits))
        width = max(_LEAST, 2 * _MARGIN + columns * _COLUMN + _BETWEEN * (columns - 1))
        column = (width - 2 * _MARGIN - _BETWEEN * (columns - 1)) / columns
        head, draw_head = header(first.meta, note, width)
        tall = max(_height(visit, spec, column) for visit in visits)
        rows = -(-len(visits) // columns)
        foot = 60.0 + 30 * spec.num_classes
        page = Page(width, head + rows * (tall + _BETWEEN) + foot, round(width * scale))
        draw_head(page)
        for number, visit in enumerate(visits):
            down, along = divmod(number, columns)
            box = (_MARGIN + along * (column + _BETWEEN), head + down * (tall + _BETWEEN), column, tall)
            _draw_visit(page, visit, spec, box)
        top = head + rows * (tall + _BETWEEN)
        class_table(Shown(spec, first.lines))(page, _MARGIN, top, 330.0)
        for number, line in enumerate(_explained(first)):
            page.text(line, (_MARGIN + 420, top + TEXT + 24 * number), 14.0, MUTED)
        return page.figure


def contact_sheet(pictures: Sequence[tuple[str, np.ndarray]], columns: int = 4, width: int = 1600) -> Figure:
    """Small pictures ``(h, w, 3)`` uint8 BGR with their names, in rows.

    Raises:
        ValueError: If there are none.
    """
    from mapllava.visualization.page import Page, fitting, one_style

    if not pictures:
        raise ValueError("no pictures for a contact sheet")
    with one_style():
        columns = min(columns if len(pictures) > columns else 2, len(pictures))  # few are shown larger
        cell = (_WIDTH - 2 * _MARGIN - 16 * (columns - 1)) / columns
        tall = max(cell * image.shape[0] / image.shape[1] for _, image in pictures) + 34
        rows = -(-len(pictures) // columns)
        page = Page(_WIDTH, 2 * _MARGIN + rows * tall, width)
        for number, (name, image) in enumerate(pictures):
            down, along = divmod(number, columns)
            left, top = _MARGIN + along * (cell + 16), _MARGIN + down * tall
            page.photograph(image, (left, top, cell, cell * image.shape[0] / image.shape[1]))
            page.text(fitting(name, 14.0, cell), (left, top + tall - 14), 14.0, INK)
        return page.figure


def _maps(visit: SeenVisit) -> int:
    return 1 if visit.raster is None else 2


def _sizes(visit: SeenVisit, spec: MapSpec, column: float) -> tuple[list[float], tuple[float, float]]:
    """Heights of the camera rows, and the size of a map with its numbers."""
    rows, _ = arrange(visit.views, spec.frame)
    heights = row_heights(rows, column, _GAP, 0.3 * _WIDTH)
    return heights, map_size(spec, column / _maps(visit), _MAP_HEIGHT)


def _height(visit: SeenVisit, spec: MapSpec, column: float) -> float:
    heights, (_, tall) = _sizes(visit, spec, column)
    return 34 + sum(heights) + _GAP * (len(heights) + 1) + tall


def _draw_visit(page: Page, visit: SeenVisit, spec: MapSpec, box: Box) -> None:
    from mapllava.visualization.page import fitting, rows_of

    left, top, column, _ = box
    heights, (wide, tall) = _sizes(visit, spec, column)
    title = f"{visit.title}, mirrored" if visit.meta.get("flip") else visit.title
    page.text(fitting(title, _TITLE, column, bold=True), (left, top + 20), _TITLE, INK, bold=True)
    y, shown = top + 34, Shown(spec, None, {"targets": visit.lines})  # thin: these images are small
    for row, height in zip(arrange(visit.views, spec.frame)[0], heights, strict=True):
        draw_row(page, row, (left, y, column, height), shown, visit.meta)
        y += height + _GAP
    for number, start in enumerate(rows_of([wide] * _maps(visit), column, 0)):
        inside = (left + start + _LEFT, y + _GAP + _TOP, wide - _SIDES, tall - _ENDS)
        axes = page.axes(inside)
        if number:
            draw_map_axes(axes, spec, [], "BEV target")
            _draw_raster(axes, visit.raster, spec)
        else:
            count = len(visit.lines.points[0]) if visit.lines.points and visit.resampled else 0
            draw_map_axes(axes, spec, [], f"{count} points a line" if count else "ground truth")
            _draw_points(axes, visit, spec)


def _draw_points(axes: Any, visit: SeenVisit, spec: MapSpec) -> None:
    """Lines with their points: the first ringed, the others smaller and smaller."""
    for line, label in zip(visit.lines.points, np.asarray(visit.lines.labels).tolist(), strict=True):
        color, form = class_color(spec.classes, label), class_form(spec.classes, label)
        points = upright(line, spec)
        axes.add_collection(line_collection([points], color, form, _POINTS), autolim=False)
        area = np.linspace(_LARGE, _SMALL, len(points)) ** 2
        axes.scatter(*points.T, s=area, color=color, linewidths=0, zorder=_POINTS.order + 1, clip_on=True)
        axes.scatter(*points[:1].T, s=_FIRST**2, facecolor=PAPER, edgecolor=color, linewidths=1.8, zorder=6)


def _draw_raster(axes: Any, raster: np.ndarray | None, spec: MapSpec) -> None:
    """Cells of every class in its colour; a later class lies above."""
    from matplotlib.colors import to_rgba

    if raster is None:
        return
    roi = spec.roi
    limits = axes.get_xlim(), axes.get_ylim()
    for label, cells in enumerate(raster):
        colored = np.zeros((*cells.shape, 4))
        colored[cells > 0] = to_rgba(class_color(spec.classes, label), 0.85)
        extent = (roi.x_min, roi.x_max, roi.y_min, roi.y_max)
        if spec.forward_axis == 0:  # x runs up the picture: rows become columns
            colored, extent = colored.transpose(1, 0, 2), (roi.y_min, roi.y_max, roi.x_min, roi.x_max)
        style = {"origin": "lower", "interpolation": "nearest", "aspect": "equal", "zorder": 3}
        axes.imshow(colored, extent=extent, **style)
    axes.set(xlim=limits[0], ylim=limits[1])


def _explained(visit: SeenVisit) -> list[str]:
    height, width = visit.views[0].image.shape[:2] if visit.views else (0, 0)
    size = f"{width} x {height} pixels"
    lines = [f"images as the network gets them, {size}; lines by the matrices that it gets"]
    if visit.resampled:
        lines.append("points: the first is ringed, dots shrink from the first to the last")
    else:
        lines.append("this pipeline makes no targets: the lines are the ground truth's own vertices")
    if visit.raster is not None:
        rows, columns = visit.raster.shape[1:]
        lines.append(f"BEV target: {rows} x {columns} cells of {visit.meta.get('bev_cell', 0):g} m")
    if visit.meta.get("num_degenerate"):
        lines.append(f"{visit.meta['num_degenerate']} lines without length left out")
    lines.append(f"sample {visit.meta.get('sample_token', '')}")
    return lines
