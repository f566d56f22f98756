"""A rig as pictures: from above with what it sees of the ROI, and its images with the ground laid over them.

Shapes: n points, C cameras. Metres in ``ego``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mapllava.geometry.rig_view import coverage, field_of_view, look_direction, project, roi_ground
from mapllava.structures.frames import MapSpec
from mapllava.structures.rig import Rig, RigCamera
from mapllava.visualization.style import CAR, INK, MUTED, PALETTE, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 0.25
_WEDGE = 9.0
_NEAR = 0.3
_GRID_STEP, _GRID_REACH = 5.0, 30.0
_SHADES = ("#f2d7cf", "#e6eeee", "#bcd6d4", "#8fbab8")
_COLUMNS = 3


def rig_figure(rig: Rig, map_spec: MapSpec) -> Figure:
    """The rig from above: where its cameras stand and look, and how many see each place of the ROI.

    Args:
        rig: Cameras with rigid poses.
        map_spec: Frame and ROI.

    Returns:
        Matplotlib's figure; :func:`~mapllava.visualization.write_picture` writes it.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    from mapllava.visualization.page import one_style

    ground = roi_ground(map_spec.roi, map_spec.frame, rig.lidar2ego, _CELL)
    seen = coverage(rig, ground).sum(axis=0)
    with one_style():
        figure = Figure(figsize=(9.0, 8.4), dpi=110)
        ax = figure.add_axes((0.08, 0.08, 0.55, 0.84))
        # A vehicle frame has x forward and y left: what is drawn goes (-y, x), forward up
        colours, steps = ListedColormap(_SHADES), BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 99], len(_SHADES))
        across, along = -ground[..., 1], ground[..., 0]
        ax.pcolormesh(
            across, along, seen, cmap=colours, norm=steps, shading="nearest", rasterized=True, zorder=0.5
        )
        edge = np.concatenate([ground[0], ground[:, -1], ground[-1, ::-1], ground[::-1, 0]])
        ax.plot(-edge[:, 1], edge[:, 0], color=INK, linewidth=1.0, zorder=2)
        ax.add_patch(
            Rectangle((-0.93, -0.95), 1.86, 4.1, facecolor=PAPER, edgecolor=CAR, linewidth=1.2, zorder=3)
        )
        yaws: list[float] = []
        for number, camera in enumerate(rig.cameras):
            yaws.append(look_direction(camera.cam2ego)[0])
            behind = sum(abs((yaws[-1] - yaw + 180) % 360 - 180) < 12 for yaw in yaws[:-1])
            _wedge(ax, camera, PALETTE[number % len(PALETTE)], _WEDGE + 1.0 + 1.5 * behind)
        ax.set_aspect("equal")
        low, high = edge[:, :2].min(axis=0) - 1.5, edge[:, :2].max(axis=0) + 1.5
        ax.set_xlim(-high[1], -low[1])
        ax.set_ylim(low[0], high[0])
        ax.set_xlabel("right of the car / m")
        ax.set_ylabel("ahead of the car / m")
        share = float((seen > 0).mean())
        ax.set_title(
            f"{len(rig.cameras)} cameras see {share:.0%} of the ROI of "
            f"{map_spec.roi.describe(map_spec.frame)} m"
        )
        words = ("no camera", "one camera", "two cameras", "three or more")
        boxes = [
            Patch(facecolor=shade, edgecolor=MUTED, label=text)
            for shade, text in zip(_SHADES, words, strict=True)
        ]
        figure.legend(handles=boxes, loc="upper left", bbox_to_anchor=(0.66, 0.92), title="ground seen by")
        figure.text(
            0.08, 0.015, f"Wedges show directions and angles; cameras see beyond the {_WEDGE:.0f} m drawn.",
            fontsize=9, color=INK,
        )  # fmt: skip
        figure.text(0.665, 0.75, _table(rig), va="top", fontsize=8.5, color=INK, linespacing=1.5)
    return figure


def ground_figure(rig: Rig, images: Sequence[np.ndarray], points: np.ndarray | None = None) -> Figure:
    """Every camera's image with the horizon and a grid on the ground, and points where there are any.

    Args:
        rig: C cameras without distortion.
        images: C images ``(H, W, 3)`` uint8 BGR.
        points: ``(n, 3)`` metres in ``ego``, drawn in place of the grid and coloured by their distance.
    """
    from matplotlib.figure import Figure

    from mapllava.visualization.page import one_style

    rows = -(-len(images) // _COLUMNS)
    columns = min(len(images), _COLUMNS)
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    with one_style():
        figure = Figure(figsize=(5.4 * columns, (5.4 * tallest + 0.42) * rows), dpi=110)
        pairs = sorted(zip(rig.cameras, images, strict=True), key=lambda pair: _left_to_right(pair[0]))
        for place, (camera, image) in enumerate(pairs):
            ax = figure.add_subplot(rows, columns, place + 1)
            _photograph(ax, camera, image)
            if points is None:
                _ground_grid(ax, camera)
            else:
                _cloud(ax, camera, points)
        top = 1 - 0.62 / figure.get_figheight()
        figure.subplots_adjust(0.01, 0.01, 0.99, top, 0.02, 0.1)
        laid = f"a line on the ground every {_GRID_STEP:.0f} m, through the car's origin thicker"
        what = laid if points is None else f"{len(points):,} points, red near to blue far"
        words = f"Pink: the horizon of level ground. Laid over it: {what}."
        figure.text(0.01, 1 - 0.28 / figure.get_figheight(), words, fontsize=11, color=INK)
    return figure


def _wedge(ax: Any, camera: RigCamera, color: str, away: float) -> None:
    """A camera's dot, the edges of its view over the ground, and its name ``away`` metres where it looks."""
    place = camera.cam2ego[:2, 3]
    half = np.radians(min(field_of_view(camera)[0], 178.0) / 2)
    yaw = np.radians(look_direction(camera.cam2ego)[0])
    angles = yaw + np.linspace(-half, half, 25)
    rim = place + _WEDGE * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shape = np.concatenate([[place], rim, [place]])
    ax.fill(-shape[:, 1], shape[:, 0], facecolor=color, alpha=0.13, edgecolor="none", zorder=3.2)
    ax.plot(-shape[:, 1], shape[:, 0], color=color, linewidth=1.2, zorder=3.5)
    ax.plot(-place[1], place[0], "o", color=color, markersize=5, markeredgecolor=PAPER, zorder=5)
    name = place + away * np.array([np.cos(yaw), np.sin(yaw)])
    aside = "center" if abs(np.sin(yaw)) < 0.35 else "right" if np.sin(yaw) > 0 else "left"
    ax.text(-name[1], name[0], camera.name, color=color, ha=aside, va="center", fontsize=8.5, zorder=6,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.2})  # fmt: skip


def _table(rig: Rig) -> str:
    """A camera a paragraph: height, direction, field of view."""
    told = []
    for camera in rig.cameras:
        yaw, pitch, roll = (round(angle, 1) + 0.0 for angle in look_direction(camera.cam2ego))
        across, up = field_of_view(camera)
        told.append(
            f"{camera.name}\n  {camera.cam2ego[2, 3]:.2f} m high, yaw {yaw:.0f}°, pitch {pitch:+.1f}°, "
            f"roll {roll:+.1f}°\n"
            f"  sees {across:.0f}° x {up:.0f}°, {camera.size[0]} x {camera.size[1]} pixels"
        )
    return "\n".join(told)


def _left_to_right(camera: RigCamera) -> tuple[bool, float]:
    """Cameras that look ahead from the left to the right, then those that look back."""
    yaw = np.radians(look_direction(camera.cam2ego)[0])
    return bool(np.cos(yaw) < -0.02), -float(np.sin(yaw))


def _photograph(ax: Any, camera: RigCamera, image: np.ndarray) -> None:
    step = max(1, image.shape[1] // 800)
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(image[::step, ::step, ::-1], extent=extent, interpolation="none")
    ax.set_title(camera.name, fontsize=10, pad=4)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.axis("off")
    ax.set_anchor("N")
    turn = np.radians(np.arange(0.0, 360.5, 0.5))
    far = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1) * 1e5 + camera.cam2ego[:3, 3]
    _line(ax, camera, far, color="#ffffff", linewidth=2.8)
    _line(ax, camera, far, color="#d81b60", linewidth=1.4, label="horizon")


def _ground_grid(ax: Any, camera: RigCamera) -> None:
    """Lines on the ground every few metres, those of the car's own axes thicker; numbers straight ahead."""
    steps = np.arange(-_GRID_REACH, _GRID_REACH + 1e-6, _GRID_STEP)
    fine = np.arange(-_GRID_REACH, _GRID_REACH + 0.05, 0.1)
    for at in steps:
        width = 1.5 if at == 0 else 0.7
        for line in ((fine, np.full_like(fine, at)), (np.full_like(fine, at), fine)):
            points = np.stack([*line, np.zeros_like(fine)], axis=1)
            _line(ax, camera, points, color="#ffe14d", linewidth=width, alpha=0.85)
    yaw = np.radians(look_direction(camera.cam2ego)[0])
    for distance in (5.0, 10.0, 20.0, 40.0):
        place = camera.cam2ego[:2, 3] + distance * np.array([np.cos(yaw), np.sin(yaw)])
        pixels, depth = project(camera, np.array([[*place, 0.0]]))
        (u, v), (width, height) = pixels[0], camera.size
        if depth[0] > _NEAR and 0 <= u < width and 0 <= v < height:
            ax.plot(u, v, "o", color="#d81b60", markersize=4, markeredgecolor="#ffffff")
            label = {"facecolor": INK, "edgecolor": "none", "alpha": 0.6, "pad": 1.0}
            words = {"fontsize": 8, "color": PAPER, "textcoords": "offset points", "bbox": label}
            ax.annotate(f"{distance:.0f} m", (u, v), (6, -3), **words)


def _cloud(ax: Any, camera: RigCamera, points: np.ndarray) -> None:
    pixels, depth = project(camera, points)
    inside = (depth > _NEAR) & (pixels >= 0).all(axis=1) & (pixels < np.array(camera.size) - 1).all(axis=1)
    near_last = np.argsort(-depth[inside])
    u, v = pixels[inside][near_last].T
    ax.scatter(u, v, c=depth[inside][near_last], s=2.2, cmap="turbo_r", vmin=2, vmax=50, linewidths=0)


def _line(ax: Any, camera: RigCamera, points: np.ndarray, **looks: Any) -> None:
    """A dense line in space, broken where it is behind the camera or far outside of the image."""
    pixels, depth = project(camera, points)
    far = (np.abs(pixels) > 20.0 * max(camera.size)).any(axis=1)
    pixels = np.where(((depth < _NEAR) | far)[:, None], np.nan, pixels)
    ax.plot(pixels[:, 0], pixels[:, 1], **looks)
