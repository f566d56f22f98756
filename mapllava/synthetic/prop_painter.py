"""Draws props into an image, the far ones first."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mapllava.synthetic import curves
from mapllava.synthetic.look import Look
from mapllava.synthetic.props import Prop

NEAR = 0.4
BITS = 3
FAR = 110.0


@dataclass
class Shape:
    """A prop as polygons in the global frame.

    Attributes:
        prop: What it is.
        middle: ``(3,)`` centre, metres.
        radius: Metres.
        faces: ``(f, 4, 3)`` corners of the faces, counter-clockwise seen from outside, in drawing order.
        normals: ``(f, 3)`` unit vectors outwards.
        colours: ``(f, 3)`` BGR with the sun's shading in it.
        decals: For each face, polygons ``(d, k, 3)`` on it, and their colour.
        balls: ``(b, 7)`` spheres in drawing order: centre, radius, colour; None but for trees.
    """

    prop: Prop
    middle: np.ndarray
    radius: float
    faces: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 3)))
    normals: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    colours: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    decals: list[list[tuple[np.ndarray, np.ndarray]]] = field(default_factory=list)
    balls: np.ndarray | None = None


def build_shape(prop: Prop, look: Look) -> Shape:
    """Turn a prop into polygons with the scene's light on them."""
    length, width, height = prop.size
    shape = Shape(
        prop, np.array([*prop.place, height / 2]), 0.5 * float(np.hypot(np.hypot(length, width), height))
    )
    if prop.kind == "building":
        _building(shape, look)
    elif prop.kind in ("car", "van"):
        _vehicle(shape, look)
    elif prop.kind == "tree":
        rng = np.random.default_rng(prop.seed)
        count = 22
        radii = np.linspace(0.34, 0.13, count)[:, None] * length
        spread = rng.normal(0, 1, (count, 3))
        spread *= (0.5 - radii / length) / np.linalg.norm(spread, axis=1, keepdims=True)
        lit = (spread @ look.sun + 0.35) / 0.75
        shades = (0.62 + np.clip(lit, 0, 1) * (0.2 + 0.4 * look.sunlight))[:, None] * prop.colour
        shades *= rng.uniform(0.93, 1.07, (count, 1))
        spread = spread * np.array([length, length, 0.5 * height]) + [0, 0, height * 0.68]
        order = np.argsort(lit * 0.6 - radii[:, 0] / length)
        shades, radii = shades[order], radii[order]
        shape.balls = np.hstack([spread[order] + [*prop.place, 0], radii, shades])
    return shape


def _frustum(
    prop: Prop,
    span: tuple[float, float],
    low: tuple[float, float, float, float],
    high: tuple[float, float, float, float],
) -> np.ndarray:
    """Faces ``(5, 4, 3)`` (front, left, back, right, top) between two levels; low, high: x0, x1, y0, y1."""
    box = np.array(
        [
            [[x1, y0, z], [x1, y1, z], [x0, y1, z], [x0, y0, z]]
            for z, (x0, x1, y0, y1) in zip(span, (low, high), strict=True)
        ]
    )
    box[..., :2] = curves.turned(box[..., :2], prop.yaw) + prop.place
    sides = [np.array([box[0, i], box[0, (i + 1) % 4], box[1, (i + 1) % 4], box[1, i]]) for i in range(4)]
    return np.array([*sides, box[1]])


def _normals(faces: np.ndarray) -> np.ndarray:
    cross = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 1])
    return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-9)


def _shades(normals: np.ndarray, look: Look) -> np.ndarray:
    return (0.62 + 0.12 * normals[:, 2] + 0.42 * look.sunlight * np.maximum(normals @ look.sun, 0))[:, None]


def _on_face(face: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Quads ``(d, 4, 2)`` given in a face's own coordinates (0 to 1 along and up) in space: ``(d, 4, 3)``."""
    a, b = quads[..., 0:1], quads[..., 1:2]
    return (1 - b) * ((1 - a) * face[0] + a * face[1]) + b * ((1 - a) * face[3] + a * face[2])


def _grid(columns: int, rows: int, fill: tuple[float, float], band: tuple[float, float]) -> np.ndarray:
    """Quads ``(columns * rows, 4, 2)`` in a regular grid between two heights of a face."""
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([fill[0] / columns, fill[1] / rows]) / 2
    quads = np.stack([x.ravel(), y.ravel()], axis=-1)[:, None] + half
    quads[..., 1] = band[0] + quads[..., 1] * (band[1] - band[0])
    return quads


def _quad(x0: float, x1: float, y0: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def _building(shape: Shape, look: Look) -> None:
    prop = shape.prop
    length, width, height = prop.size
    rng = np.random.default_rng(prop.seed)
    base = (-length / 2, length / 2, -width / 2, width / 2)
    shape.faces = _frustum(prop, (0.0, height), base, base)
    shape.normals = _normals(shape.faces)
    shades = _shades(shape.normals, look)
    shape.colours = shades * prop.colour
    glass = np.array([104.0, 88, 72]) * rng.uniform(0.7, 1.3)
    storeys = max(int(height // 3), 1)
    fill = (float(rng.uniform(0.4, 0.85)), float(rng.uniform(0.4, 0.65)))
    ledge = _grid(1, 1, (1.0, 1.0), (0.96, 1.0))
    for face, shade, across in zip(shape.faces[:4], shades[:4], (width, length, width, length), strict=True):
        windows = _grid(max(int(across // 2.6), 1), storeys, fill, (0.04, 0.95))
        shape.decals.append(
            [
                (_on_face(face, windows), glass * (0.5 + 0.5 * shade)),
                (_on_face(face, ledge), shade * prop.colour * 0.8),
            ]
        )
    shape.decals.append([])


def _vehicle(shape: Shape, look: Look) -> None:
    prop = shape.prop
    length, width, height = prop.size
    x, y, van = length / 2, width / 2, prop.kind == "van"
    waist = height * (0.5 if van else 0.58)
    belt = (-x * 0.98, x * (0.95 if van else 0.97), -y * 0.97, y * 0.97)
    body = _frustum(prop, (0.22, waist), (-x, x, -y, y), belt)
    roof_x = (-x * 0.97, x * 0.62) if van else (-x * 0.62, x * 0.18)
    foot_x = (-x * 0.98, x * 0.88) if van else (-x * 0.92, x * 0.48)
    cabin = _frustum(prop, (waist, height), (*foot_x, -y * 0.95, y * 0.95), (*roof_x, -y * 0.74, y * 0.74))
    below = (-x * 1.02, x * 1.02, -y * 1.05, y * 1.05)
    shape.faces = np.concatenate([_frustum(prop, (0.0, 0.02), below, below)[4:], body, cabin])
    shape.normals = _normals(shape.faces)
    shape.colours = _shades(shape.normals, look) * prop.colour
    shape.colours[0] = look.asphalt * 0.42
    circle = np.arange(10) / 10 * 2 * np.pi
    wheel = np.stack([0.075 * np.cos(circle), 0.02 + 0.42 * np.sin(circle)], axis=-1)
    wheels = np.array([wheel + np.array([middle, 0.0]) for middle in (0.19, 0.8)]), np.array([26.0, 24, 24])
    lamps = np.array([_quad(0.03, 0.2, 0.55, 0.8), _quad(0.8, 0.97, 0.55, 0.8)])
    glass = np.array([66.0, 56, 48])
    screen = np.array([_quad(0.05, 0.95, 0.1, 0.9)]), glass
    panes = np.array([_quad(0.05, 0.46, 0.12, 0.88), _quad(0.53, 0.93, 0.12, 0.88)]), glass
    front, back = (lamps, np.array([225.0, 235, 240])), (lamps, np.array([40.0, 36, 190]))
    drawn = [None, front, wheels, back, wheels, None, screen, panes, screen, panes, None]
    for face, decal in zip(shape.faces, drawn, strict=True):
        shape.decals.append([(_on_face(face, decal[0]), decal[1])] if decal else [])


class PropPainter:
    """Draws shapes into one image.

    Args:
        image: ``(H, W, 3)`` uint8, changed in place.
        intrinsic: ``(3, 3)``.
        global2cam: ``(4, 4)``.
        fog: Colour (BGR) that far things fade to.
    """

    def __init__(
        self, image: np.ndarray, intrinsic: np.ndarray, global2cam: np.ndarray, fog: np.ndarray
    ) -> None:
        self.image, self.fog = image, fog
        self.intrinsic, self.global2cam = intrinsic, global2cam
        self.eye = -global2cam[:3, :3].T @ global2cam[:3, 3]
        self.projection = intrinsic @ global2cam[:3]
        self.detail = 2.2 / intrinsic[0, 0]

    def paint(self, shapes: list[Shape]) -> None:
        """Draw all that can be seen."""
        if not shapes:
            return
        middles = np.array([shape.middle for shape in shapes])
        radii = np.array([shape.radius for shape in shapes])
        distance = np.linalg.norm(middles - self.eye, axis=1)
        seen = self.sees(middles, radii) & (distance < FAR)
        for index in np.argsort(-(distance - 0.5 * radii), kind="stable"):
            if seen[index]:
                self._one(shapes[index], float(distance[index]))

    def sees(self, middles: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Which spheres (centres ``(n, 3)``, radii ``(n,)``, metres) may touch the image: ``(n,)`` bool."""
        points = middles @ self.global2cam[:3, :3].T + self.global2cam[:3, 3]
        slope = self.image.shape[1] / 2 / self.intrinsic[0, 0] * 1.15
        return (points[:, 2] > NEAR - radii) & (
            np.abs(points[:, 0]) < np.maximum(points[:, 2], 0) * slope + radii * 1.6
        )

    def _one(self, shape: Shape, distance: float) -> None:
        fade = min(max(distance - 25, 0) / 140, 0.6)
        if shape.balls is not None:
            self._tree(shape, fade)
            return
        if shape.prop.kind == "lamp":
            self._lamp(shape, fade)
            return
        facing = ((self.eye - shape.faces[:, 0]) * shape.normals).sum(axis=1) > 0
        colours = shape.colours + fade * (self.fog - shape.colours)
        for index in np.flatnonzero(facing):
            self._fill(shape.faces[index : index + 1], colours[index])
            for quads, shade in shape.decals[index]:
                if np.abs(quads[0, 1] - quads[0, 0]).max() > self.detail * distance:
                    self._fill(quads, shade + fade * (self.fog - shade))

    def _fill(self, polygons: np.ndarray, colour: np.ndarray) -> None:
        """Fill polygons ``(p, k, 3)`` of the global frame with one colour."""
        points = self._seen_at(polygons)
        depth = points[..., 2]
        if depth.min() > NEAR:
            cv2.fillPoly(self.image, list(_pixels(points)), colour.tolist(), cv2.LINE_AA, BITS)
        elif depth.max() > NEAR:
            for polygon in points[(depth > NEAR).any(axis=1)]:
                clipped = _pixels(clip_near(polygon, NEAR))
                cv2.fillPoly(self.image, [clipped], colour.tolist(), cv2.LINE_AA, BITS)

    def _seen_at(self, points: np.ndarray) -> np.ndarray:
        """Homogeneous pixel coordinates ``(..., 3)`` of global points; the third is the depth in metres."""
        return points @ self.projection[:, :3].T + self.projection[:, 3]

    def _tree(self, shape: Shape, fade: float) -> None:
        balls = np.asarray(shape.balls)
        points = self._seen_at(balls[:, :3])
        if points[:, 2].min() < 1.0:
            return
        foot = np.array([*shape.prop.place, 0.0])
        bark = np.array([50.0, 58, 68])
        self._post(
            foot, foot + np.array([0, 0, shape.prop.size[2] * 0.6]), 0.2, bark + fade * (self.fog - bark)
        )
        radii = np.round(balls[:, 3] * self.intrinsic[0, 0] / points[:, 2] * (1 << BITS))
        tiny = radii.max() < 12 << BITS
        kept = radii >= radii.max() * 0.6 if tiny else radii > 0  # the others are too small to tell apart
        shades = balls[kept, 4:] * (1 - fade) + fade * self.fog
        rows = (_pixels(points[kept]).tolist(), radii[kept].astype(int).tolist(), shades.tolist())
        for pixel, radius, shade in zip(*rows, strict=True):
            cv2.circle(self.image, pixel, radius, shade, -1, cv2.LINE_AA, BITS)

    def _lamp(self, shape: Shape, fade: float) -> None:
        foot, prop = np.array([*shape.prop.place, 0.0]), shape.prop
        colour = prop.colour + fade * (self.fog - prop.colour)
        top = foot + np.array([0, 0, prop.size[2]])
        arm = top + 1.6 * np.array([-np.sin(prop.yaw), np.cos(prop.yaw), 0.1])
        self._post(foot, top, 0.14, colour)
        self._post(top, arm, 0.1, colour)

    def _post(self, foot: np.ndarray, top: np.ndarray, width: float, colour: np.ndarray) -> None:
        ends = self._seen_at(np.array([foot, top]))
        if ends[:, 2].min() < 1.0:
            return
        thickness = max(1, round(width * self.intrinsic[0, 0] / float(ends[:, 2].mean())))
        a, b = _pixels(ends).tolist()
        cv2.line(self.image, a, b, colour.tolist(), thickness, cv2.LINE_AA, BITS)


def _pixels(points: np.ndarray) -> np.ndarray:
    """OpenCV's fixed-point coordinates ``(..., 2)`` int32 of homogeneous pixel coordinates ``(..., 3)``."""
    pixels = points[..., :2] / points[..., 2:]
    return np.rint(np.minimum(np.maximum(pixels, -30000), 30000) * (1 << BITS)).astype(np.int32)


def clip_near(polygon: np.ndarray, near: float) -> np.ndarray:
    """The part of a polygon ``(k, 3)`` with depth (third coordinate) above ``near``: ``(m, 3)``."""
    out = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if a[2] > near:
            out.append(a)
        if (a[2] > near) != (b[2] > near):
            out.append(a + (near - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(out)


def shadow(prop: Prop, look: Look) -> np.ndarray:
    """Outline ``(n, 2)`` of the shadow a prop throws on the ground, metres."""
    slant = -look.sun[:2] / look.sun[2]
    length, _, height = prop.size
    if prop.kind == "tree":
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * length * 0.55
        return prop.place + circle + slant * height * 0.68 + np.outer(circle @ slant, slant) * 0.3
    foot = prop.footprint()
    both = np.vstack([foot, foot + slant * height * (0.85 if prop.kind != "building" else 1.0)])
    return cv2.convexHull(both.astype(np.float32))[:, 0].astype(np.float64)
