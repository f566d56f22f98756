"""The ground as a picture seen from above: what the map says, painted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from shapely.geometry import Polygon

from mapllava.geometry.polyline import arc_length
from mapllava.synthetic import curves
from mapllava.synthetic.district import District
from mapllava.synthetic.look import Look, noise_tile, tiled
from mapllava.synthetic.roads import Divider
from mapllava.synthetic.street_plan import Crossing

FIX = 4  # fractional bits of OpenCV's drawing coordinates
YELLOW = np.array([70.0, 180, 232])


@dataclass
class Sheet:
    """A picture of a rectangle of ground.

    Attributes:
        picture: ``(rows, columns, 3)`` uint8 BGR.
        matrix: ``(3, 3)`` from global metres (x, y, 1) to pixels (column, row); pixel centres are whole.
        texel: Metres per pixel.
    """

    picture: np.ndarray
    matrix: np.ndarray
    texel: float

    def halved(self) -> Sheet:
        """The same ground at half the resolution."""
        rows, columns = (size // 2 for size in self.picture.shape[:2])
        picture = cv2.resize(
            self.picture[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA
        )
        shrink = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
        return Sheet(picture, shrink @ self.matrix, self.texel * 2)

    def fill(self, image: np.ndarray, outlines: Iterable[np.ndarray], colour: np.ndarray | float) -> None:
        """Fill outlines ``(n, 2)``, metres, on the picture or a mask of its size; inner ones are holes."""
        cv2.fillPoly(image, [self._pixels(line) for line in outlines], _colour(colour), cv2.LINE_AA, FIX)

    def stroke(self, lines: Iterable[np.ndarray], colour: np.ndarray, width: float, closed: bool) -> None:
        """Draw lines ``(n, 2)``, metres, as wide as ``width`` metres, a pixel at least."""
        thickness = max(1, round(width / self.texel))
        pixels = [self._pixels(line) for line in lines]
        cv2.polylines(self.picture, pixels, closed, _colour(colour), thickness, cv2.LINE_AA, FIX)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        moved = np.asarray(points)[:, :2] @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return np.round(moved * (1 << FIX)).astype(np.int32)


def empty_sheet(window: tuple[np.ndarray, float], size: tuple[float, float], texel: float) -> Sheet:
    """A sheet to paint on.

    Args:
        window: Centre ``(2,)`` in metres and angle in radians of the rectangle.
        size: (along the angle, across it) in metres.
        texel: Metres per pixel.
    """
    columns, rows = (int(np.ceil(length / texel)) for length in size)
    (cx, cy), angle = window
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s, -c * cx - s * cy], [-s, c, s * cx - c * cy], [0, 0, 1]])
    scale = np.array([[1 / texel, 0, columns / 2 - 0.5], [0, -1 / texel, rows / 2 - 0.5], [0, 0, 1]])
    return Sheet(np.empty((rows, columns, 3), np.uint8), scale @ turn, texel)


def paint_sheet(district: District, look: Look, rng: np.random.Generator, sheet: Sheet) -> Sheet:
    """Paint the ground onto a sheet.

    Args:
        district: The streets.
        look: Colours.
        rng: Source of texture and wear.
        sheet: Changed in place.

    Returns:
        The same sheet.
    """
    _meadow(sheet, look, rng)
    _surfaces(sheet, district, look)
    _repairs(sheet, district, look, rng)
    _add_texture(sheet, rng)
    for mask, colour in _paint_masks(sheet, district, look):
        _blend(sheet.picture, mask, colour, look, rng)
    return sheet


def _colour(values: np.ndarray | float) -> tuple[float, ...]:
    return tuple(np.clip(np.atleast_1d(values), 0, 255).tolist())


def _meadow(sheet: Sheet, look: Look, rng: np.random.Generator) -> None:
    """Open ground: grass with lighter and darker patches."""
    cell = max(4, min(128, 1 << int(np.log2(4.0 / sheet.texel))))
    tile = noise_tile(rng, 512, ((cell, 0.07), (max(cell // 4, 2), 0.05), (2, 0.05)))
    tinted = np.clip(look.grass * (1 + tile[..., None] * np.array([0.8, 1.0, 1.3])), 0, 255).astype(np.uint8)
    rows, columns = sheet.picture.shape[:2]
    sheet.picture[:] = tiled(tinted, (rows, columns))


def cast_shadows(sheet: Sheet, outlines: list[np.ndarray], look: Look) -> None:
    """Darken the sheet inside the outlines ``(n, 2)``, metres, as strongly as the sun shines."""
    dark = 255 * (1 - 0.42 * look.sunlight)
    mask = np.full(sheet.picture.shape[:2], 255, np.uint8)
    for outline in outlines:
        sheet.fill(mask, [outline], dark)
    cv2.multiply(sheet.picture, cv2.merge([mask] * 3), dst=sheet.picture, scale=1 / 255)


def _rings(area: Polygon) -> list[np.ndarray]:
    return [np.array(ring.coords) for ring in (area.exterior, *area.interiors)]


def _surfaces(sheet: Sheet, district: District, look: Look) -> None:
    picture = sheet.picture
    outer, *holes = _rings(district.surface.buffer(look.pavement_width, quad_segs=3))
    sheet.fill(picture, [outer], look.paving)
    for hole in holes:
        sheet.fill(picture, [hole], look.grass)
    rings = _rings(district.surface)
    for ring in rings[1:]:
        sheet.fill(picture, [ring], look.grass if Polygon(ring).area > 60 else look.paving * 0.94)
    sheet.stroke(rings, look.kerb, 0.6, closed=True)
    sheet.fill(picture, rings, look.asphalt)


def _repairs(sheet: Sheet, district: District, look: Look, rng: np.random.Generator) -> None:
    """Patches of newer asphalt, cracks and manhole covers."""
    circle = 0.35 * np.stack([np.cos(np.arange(12) / 1.91), np.sin(np.arange(12) / 1.91)], -1)
    for lane in (lane for lane in district.lanes if not lane.connector):
        length = arc_length(lane.line)
        for _ in range(int(rng.poisson(length / 45))):
            place, extent = rng.uniform(0, length), rng.uniform(1.5, 9)
            kind, shade, wander = rng.random(), rng.uniform(0.8, 1.16), rng.normal(0, 0.5, 12)
            piece = curves.spaced(curves.part(lane.line, place, min(place + extent, length)), 1.0)
            if len(piece) < 3:
                continue
            if kind < 0.45:
                half = 0.3 + abs(wander[0])
                patch = curves.ribbon(curves.offset(piece, half), curves.offset(piece, -half))
                sheet.fill(sheet.picture, [patch], look.asphalt * shade)
            elif kind < 0.8:
                bent = curves.offset(piece, np.resize(wander, len(piece)))
                sheet.stroke([bent], look.asphalt * 0.78, 0.0, closed=False)
            else:
                sheet.fill(sheet.picture, [piece[0] + circle], look.asphalt * 0.72)


def _add_texture(sheet: Sheet, rng: np.random.Generator) -> None:
    size = 512
    coarse = max(8, min(128, 1 << int(np.log2(3.0 / sheet.texel))))
    tile = noise_tile(rng, size, ((1, 5.0), (4, 2.5), (coarse, 3.5)))
    tile = np.clip(np.round(tile + 128), 0, 255).astype(np.uint8)
    grain = cv2.merge([tiled(tile, (sheet.picture.shape[0], sheet.picture.shape[1]))] * 3)
    cv2.addWeighted(sheet.picture, 1.0, grain, 1.0, -128.0, dst=sheet.picture)


def _paint_masks(sheet: Sheet, district: District, look: Look) -> list[tuple[np.ndarray, np.ndarray]]:
    """Coverage ``(rows, columns)`` uint8 and colour of each kind of paint."""
    yellow = [stroke for line in district.dividers if line.paint.yellow for stroke in _strokes(line)]
    white = [stroke for line in district.dividers if not line.paint.yellow for stroke in _strokes(line)]
    white += [bar for crossing in district.crossings for bar in _bars(crossing)]
    white += [*district.stop_lines, *district.arrows]
    masks = [np.zeros(sheet.picture.shape[:2], np.uint8) for _ in range(2)]
    for mask, outlines in zip(masks, (white, yellow), strict=True):
        for outline in outlines:
            sheet.fill(mask, [outline], 255.0)
    return list(zip(masks, (np.full(3, look.white), YELLOW * look.white / 245), strict=True))


def _strokes(divider: Divider) -> list[np.ndarray]:
    """Outlines ``(n, 2)`` of a divider's painted pieces."""
    paint, line, total = divider.paint, divider.points, arc_length(divider.points)
    pieces = [line]
    if paint.dash is not None:
        starts = np.arange(0.0, total, sum(paint.dash))
        pieces = [curves.part(line, s, min(s + paint.dash[0], total)) for s in starts if total - s > 0.4]
    half = paint.width / 2
    return [
        curves.ribbon(curves.offset(piece, centre + half), curves.offset(piece, centre - half))
        for piece in pieces
        for centre in ((-paint.width, paint.width) if paint.double else (0.0,))
    ]


def _bars(crossing: Crossing) -> list[np.ndarray]:
    """Outlines ``(4, 2)`` of a crossing's stripes (or of its two lines)."""
    near_left, near_right, far_left, far_right = crossing.corners
    if not crossing.zebra:
        share = 0.3 / float(np.hypot(*(far_left - near_left)))
        rows = ((near_left, near_right, far_left, far_right), (far_left, far_right, near_left, near_right))
        return [np.array([a, b, b + share * (d - b), a + share * (c - a)]) for a, b, c, d in rows]
    count = max(round(float(np.hypot(*(near_right - near_left)))), 3)
    edges = (np.arange(count)[:, None] + np.array([0.22, 0.78])) / count
    near, far = near_right - near_left, far_right - far_left
    return [
        np.array([near_left + a * near, near_left + b * near, far_left + b * far, far_left + a * far])
        for a, b in edges
    ]


def _blend(
    picture: np.ndarray, mask: np.ndarray, colour: np.ndarray, look: Look, rng: np.random.Generator
) -> None:
    """Lay worn paint over the picture, only where the mask is set."""
    if not mask.any():
        return
    tile = noise_tile(rng, 256, ((1, 0.3), (4, 0.35), (32, 0.5)))
    wear = np.clip(1 - look.wear * np.clip(0.5 + tile, 0, 1.6), 0.25, 1).astype(np.float32)
    rows, columns = np.nonzero(mask)
    alpha = (mask[rows, columns].astype(np.float32) / 255 * wear[rows % 256, columns % 256])[:, None]
    base = picture[rows, columns].astype(np.float32)
    mixed = base + alpha * (colour.astype(np.float32) + 0.5 * (base - base.mean(axis=0)) - base)
    picture[rows, columns] = np.clip(mixed, 0, 255).astype(np.uint8)
