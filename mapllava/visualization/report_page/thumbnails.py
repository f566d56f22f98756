"""Small pictures of best and worst samples: the map as SVG, the front camera as JPEG."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.structures.frames import MapSpec
from mapllava.visualization.report_page.maps import as_drawn, deltas

WIDTH = 220
"""Pixels of a camera's picture."""


def map_paths(
    spec: MapSpec, truth: Sequence[Mapping[str, Any]], prediction: Mapping[str, Any], min_scores: np.ndarray
) -> list[dict[str, Any]]:
    """What an SVG draws of a sample: truth first.

    Args:
        spec: Frame, region and classes.
        truth: Lines of a GT cache's entry.
        prediction: ``points`` (K lines), ``labels`` and ``scores`` (K,).
        min_scores: (C,) scores from which lines are drawn.

    Returns:
        ``label``, ``truth`` and ``d`` (centimetres, forward is up) of each line.
    """
    out = [{"label": int(line["label"]), "truth": True, "d": _path(line["points"], spec)} for line in truth]
    for points, label, score in zip(*(prediction[k] for k in ("points", "labels", "scores")), strict=True):
        if score >= min_scores[label] and len(points) > 1:
            out.append({"label": int(label), "truth": False, "d": _path(points, spec)})
    return out


def view_box(spec: MapSpec) -> str:
    """The region as SVG's ``viewBox``, centimetres."""
    roi = spec.roi
    corners = as_drawn(np.array([[roi.x_min, roi.y_min], [roi.x_max, roi.y_max]]), spec)
    (left, back), (right, front) = corners.min(axis=0), corners.max(axis=0)
    return " ".join(f"{100 * value:.0f}" for value in (left, -front, right - left, front - back))


def front_picture(entry: Mapping[str, Any], dataroot: Path) -> str | None:
    """The front camera, or the first one, as a small JPEG in a ``data:`` address; None without a file."""
    from PIL import Image

    cameras = entry.get("cams") or {}
    camera = cameras.get("CAM_FRONT") or next(iter(cameras.values()), None)
    if camera is None:
        return None
    path = (dataroot / str(camera["img_path"])).resolve()
    # A page is sent to others: what lies elsewhere on this disk stays out of it
    if not path.is_relative_to(dataroot.resolve()) or not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            image.draft("RGB", (WIDTH, WIDTH))
            small = image.convert("RGB")
    except OSError:  # a picture that cannot be read spoils no report
        return None
    small.thumbnail((WIDTH, WIDTH))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _path(points: Any, spec: MapSpec) -> str:
    """Relative steps; SVG's y runs down."""
    steps = np.reshape(deltas(np.asarray(points, dtype=np.float64), spec), (-1, 2)) * [1, -1]
    return "m" + " ".join(f"{x:.0f},{y:.0f}" for x, y in steps)
