"""One picture of one sample: its cameras around the map, ground truth beside prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mapllava.structures.frames import MapSpec
from mapllava.visualization.bev_canvas import BEVCanvas
from mapllava.visualization.camera_overlay import draw_on_camera
from mapllava.visualization.style import (
    GROUND_TRUTH,
    INK,
    MUTED,
    PAGE,
    PREDICTION,
    REFERENCE,
    LineStyle,
    class_color,
    on_photograph,
    put_text,
    stroke,
)

_ROWS = (("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"), ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"))
_MARGIN, _GAP, _HEADER, _BEV_HEIGHT, _SIDE = 16, 8, 52, 600, 330


@dataclass
class MapLines:
    """A map to draw: lines ``(n, 2)`` in metres, their labels, and scores where they are predicted."""

    points: list[np.ndarray]
    labels: np.ndarray
    scores: np.ndarray | None = None

    def above(self, threshold: float) -> MapLines:
        """The lines whose score reaches ``threshold``; all of them where there are no scores."""
        if self.scores is None:
            return self
        keep = np.flatnonzero(np.asarray(self.scores) >= threshold)
        return MapLines([self.points[k] for k in keep], self.labels[keep], self.scores[keep])


@dataclass
class CameraView:
    """One camera: ``image`` (H, W, 3) uint8 BGR, and ``lidar2img`` (4, 4) for its pixels."""

    name: str
    image: np.ndarray
    lidar2img: np.ndarray


def draw_sample(
    meta: Mapping[str, Any],
    views: Sequence[CameraView],
    ground_truth: MapLines | None,
    prediction: MapLines | None,
    score_thr: float = 0.3,
    score: str = "",
    width: int = 1600,
) -> np.ndarray:
    """Draw a sample.

    Front cameras above, back cameras below, the maps between them: ground truth, prediction, and
    both. On photographs and in the last map the ground truth is dashed.

    Args:
        meta: ``map_spec`` (a dict), ``lidar2ego`` (4, 4), and for the title ``sample_token``,
            ``split``, ``scene_name``, ``location``, as far as known.
        views: Any number of cameras; nuScenes' six stand where they look, others follow in rows.
        ground_truth: None where it is not known.
        prediction: None where there is none.
        score_thr: Predictions below are not drawn.
        score: Written in the header, e.g. ``'mAP 62.1 (val, epoch 24)'``.
        width: Pixels.

    Returns:
        ``(H, width, 3)`` uint8 BGR.
    """
    spec = MapSpec.from_config(meta["map_spec"])
    shown = None if prediction is None else prediction.above(score_thr)
    styled = [(ground_truth, REFERENCE if shown is not None else GROUND_TRUTH), (shown, PREDICTION)]
    layers = [(lines, style) for lines, style in styled if lines is not None]
    rows = [_camera_row(row, meta, spec, layers, width) for row in _arrange(views)]
    maps = _map_row(meta, spec, ground_truth, shown, score_thr, width)
    middle = (len(rows) + 1) // 2
    return np.concatenate([_header(meta, score, width), *rows[:middle], maps, *rows[middle:]])


def _arrange(views: Sequence[CameraView]) -> list[list[CameraView]]:
    by_name = {view.name: view for view in views}
    if all(name in by_name for row in _ROWS for name in row) and len(views) == 6:
        return [[by_name[name] for name in row] for row in _ROWS]
    return [list(views[k : k + 3]) for k in range(0, len(views), 3)]


def _camera_row(
    views: list[CameraView],
    meta: Mapping[str, Any],
    spec: MapSpec,
    layers: list[tuple[MapLines, LineStyle]],
    width: int,
) -> np.ndarray:
    cell = (width - 2 * _MARGIN - 2 * _GAP) // 3
    images = []
    for view in views:
        scale = cell / view.image.shape[1]
        image, lidar2img = resize_view(view, (cell, round(view.image.shape[0] * scale)))
        for lines, style in layers:
            args = (lidar2img, meta["lidar2ego"], spec, on_photograph(style))
            draw_on_camera(image, lines.points, lines.labels.tolist(), *args)
        _label(image, view.name.removeprefix("CAM_").replace("_", " ").lower())
        images.append(image)
    row = np.full((max(image.shape[0] for image in images) + _GAP, width, 3), PAGE, dtype=np.uint8)
    for index, image in enumerate(images):
        left = _MARGIN + index * (cell + _GAP)
        row[: image.shape[0], left : left + cell] = image
    return row


def resize_view(view: CameraView, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Scale a camera's image and its projection alike.

    Args:
        view: The camera.
        size: (width, height) in pixels.

    Returns:
        A new image ``(height, width, 3)``, and ``(4, 4)`` for its pixels (centres at whole numbers).
    """
    sx, sy = size[0] / view.image.shape[1], size[1] / view.image.shape[0]
    method = cv2.INTER_AREA if sx < 1 else cv2.INTER_CUBIC
    scale = np.eye(4)
    scale[0, 0], scale[1, 1] = sx, sy
    scale[0, 2], scale[1, 2] = (sx - 1) / 2, (sy - 1) / 2
    image = cv2.resize(view.image, size, interpolation=method)
    return image, scale @ np.asarray(view.lidar2img, dtype=np.float64)


def _label(image: np.ndarray, text: str) -> None:
    corner = image[:24, : 16 + 9 * len(text)]
    corner[:] = (corner * 0.35).astype(np.uint8)
    put_text(image, text, (8, 17), (255, 255, 255), 14)


def _header(meta: Mapping[str, Any], score: str, width: int) -> np.ndarray:
    header = np.full((_HEADER, width, 3), PAGE, dtype=np.uint8)
    parts = [meta.get("scene_name"), meta.get("location"), meta.get("split") and f"split {meta['split']}"]
    put_text(header, "   ".join(str(p) for p in parts if p), (_MARGIN, 34), INK, 22)
    if score:
        put_text(header, score, (width - _MARGIN, 34), INK, 22, "right")
    return header


def _map_row(
    meta: Mapping[str, Any],
    spec: MapSpec,
    truth: MapLines | None,
    shown: MapLines | None,
    score_thr: float,
    width: int,
) -> np.ndarray:
    panels = []
    room = ((width - 2 * _MARGIN - _SIDE) // 3, _BEV_HEIGHT)
    if truth is not None:
        panels.append(_panel(spec, room, "ground truth", [(truth, GROUND_TRUTH)]))
    if shown is not None:
        panels.append(_panel(spec, room, "prediction", [(shown, PREDICTION)]))
    if truth is not None and shown is not None:
        dotless = LineStyle(thickness=PREDICTION.thickness, fill=PREDICTION.fill)
        both = [(shown, dotless), (truth, REFERENCE)]
        panels.append(_panel(spec, room, "both, ground truth dashed", both))
    height = max([panel.shape[0] for panel in panels], default=_BEV_HEIGHT)
    row = np.full((height + _GAP, width, 3), PAGE, dtype=np.uint8)
    _side_panel(row[:, _MARGIN : _MARGIN + _SIDE], meta, spec, truth, shown, score_thr)
    share = (width - 2 * _MARGIN - _SIDE) // max(1, len(panels))
    for index, panel in enumerate(panels):
        left = _MARGIN + _SIDE + index * share + (share - panel.shape[1]) // 2
        row[: panel.shape[0], left : left + panel.shape[1]] = panel
    return row


def _panel(
    spec: MapSpec, room: tuple[int, int], title: str, layers: list[tuple[MapLines, LineStyle]]
) -> np.ndarray:
    canvas = BEVCanvas(spec, room, title)
    for lines, style in layers:
        canvas.draw_lines(lines.points, lines.labels.tolist(), style)
    return canvas.render()


def _side_panel(
    area: np.ndarray,
    meta: Mapping[str, Any],
    spec: MapSpec,
    truth: MapLines | None,
    shown: MapLines | None,
    score_thr: float,
) -> None:
    """Legend, numbers of lines and the sample's name, in place."""
    put_text(area, "lines", (0, 52), INK, 18)
    columns = [("truth", truth, 220), ("predicted", shown, 310)]
    for heading, lines, right in columns:
        if lines is not None:
            put_text(area, heading, (right, 52), MUTED, 14, "right")
    for label, name in enumerate(spec.classes):
        row = 86 + 32 * label
        color = class_color(spec.classes, label)
        stroke(area, np.array([[0.0, row - 5.0], [26.0, row - 5.0]]), color, 3)
        put_text(area, name.replace("_", " "), (36, row), INK, 15)
        for _, lines, right in columns:
            if lines is not None:
                count = int((np.asarray(lines.labels) == label).sum())
                put_text(area, str(count), (right, row), INK, 15, "right")
    row = 86 + 32 * len(spec.classes) + 16
    notes = [f"{spec.roi.describe(spec.frame)} m, {spec.frame} frame"]
    if shown is not None:
        notes += [f"predictions scored {score_thr:g} or more", "on photographs: truth dashed"]
    notes += ["sample", str(meta.get("sample_token", ""))]
    for index, note in enumerate(notes):
        size = min(14.0, 14.0 * 40 / max(len(note) * 1.1, 1))
        put_text(area, note, (0, row + 24 * index), MUTED, size)
