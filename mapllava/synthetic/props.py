"""Things that stand in the way: buildings, trees, lamp posts, parked and moving cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString

from mapllava.geometry.polyline import arc_length
from mapllava.synthetic import curves
from mapllava.synthetic.district import District
from mapllava.synthetic.scene import Drive

CAR_COLOURS = (
    (232, 232, 230), (210, 208, 204), (60, 58, 58), (36, 34, 34), (150, 148, 146),
    (110, 60, 36), (40, 40, 160), (58, 92, 120), (92, 120, 60),
)  # fmt: skip
WALLS = ((150, 176, 196), (172, 180, 186), (120, 140, 176), (190, 190, 184), (128, 150, 160), (206, 202, 192))


@dataclass(frozen=True)
class Prop:
    """Something on the ground.

    Attributes:
        kind: 'building', 'car', 'van', 'tree' or 'lamp'.
        place: ``(2,)`` metres.
        yaw: Radians.
        size: (length, width, height), metres.
        colour: ``(3,)`` BGR.
        seed: For details such as windows and leaves.
    """

    kind: str
    place: np.ndarray
    yaw: float
    size: tuple[float, float, float]
    colour: np.ndarray
    seed: int = 0

    def footprint(self) -> np.ndarray:
        """Corners ``(4, 2)`` of the ground it stands on, metres."""
        half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.array(self.size[:2]) / 2
        return self.place + curves.turned(half, self.yaw)


@dataclass
class Traffic:
    """Cars that move along a way ``(n, 2)``.

    Attributes:
        way: ``(n, 2)`` metres.
        offsets: Metres along the way at time 0; from the camera car where ``speed`` is None.
        speed: m/s; None for cars that keep their distance to the camera car.
        cars: Kind, size (metres) and colour of each.
    """

    way: np.ndarray
    offsets: np.ndarray
    speed: float | None
    cars: list[tuple[str, tuple[float, float, float], np.ndarray]]

    def __post_init__(self) -> None:
        self.length = arc_length(self.way)

    def props(self, drive: Drive, when: float) -> list[Prop]:
        """The cars where they are at a time in seconds."""
        base = drive.progress(when) if self.speed is None else self.speed * when
        share = self.length / drive.along[-1] if self.speed is None else 1.0
        places = base * share + self.offsets
        rears, fronts = (curves.at(self.way, places + reach) for reach in (-1.2, 1.2))
        out = []
        for index in np.flatnonzero((places > 5) & (places < self.length - 5)):
            kind, size, colour = self.cars[index]
            rear, front = rears[index], fronts[index]
            out.append(Prop(kind, (rear + front) / 2, curves.heading(rear, front), size, colour))
        return out


def draw_car(rng: np.random.Generator) -> tuple[str, tuple[float, float, float], np.ndarray]:
    """Kind, size in metres and colour (3,), BGR, of a random vehicle."""
    colour = np.array(CAR_COLOURS[rng.integers(len(CAR_COLOURS))], dtype=float) * rng.uniform(0.9, 1.1)
    if rng.random() < 0.15:
        return "van", (float(rng.uniform(5.0, 6.5)), 2.0, float(rng.uniform(2.2, 2.8))), colour
    length, width, height = (float(rng.uniform(*span)) for span in ((4.0, 4.8), (1.75, 1.9), (1.42, 1.65)))
    return "car", (length, width, height), colour


def draw_traffic(rng: np.random.Generator, district: District) -> list[Traffic]:
    """Cars that come towards the camera car and cars that drive with it."""
    out = []
    if district.oncoming is not None:
        length, speed = arc_length(district.oncoming), float(rng.uniform(5, 9))
        offsets = np.cumsum(rng.uniform(16, 70, 200)) - 400
        offsets = offsets[(offsets > -speed * 30) & (offsets < length)]
        out.append(Traffic(district.oncoming, offsets, speed, [draw_car(rng) for _ in offsets]))
    near = np.array([-rng.uniform(12, 30), rng.uniform(16, 40)])[rng.random(2) < (0.5, 0.45)]
    out.append(Traffic(district.beside, near, None, [draw_car(rng) for _ in near]))
    return out


def draw_props(rng: np.random.Generator, district: District, stretch: np.ndarray) -> list[Prop]:
    """Buildings, trees, lamps and parked cars along the kerbs near a stretch ``(n, 2)`` of the route.

    Nothing stands on a carriageway except parked cars, which keep clear of the route.
    """
    props: list[Prop] = []
    shapely.prepare(district.surface)
    route = LineString(stretch)
    ring = district.surface.exterior
    points = np.array(ring.coords if ring.is_ccw else ring.coords[::-1])
    steps = np.cumsum(rng.uniform(3.5, 8.5, int(ring.length / 3.5) + 1))
    steps = steps[steps < ring.length - 1]
    places, aheads = curves.at(points, steps), curves.at(points, steps + 0.5)
    near = shapely.distance(shapely.points(places), route) < 70
    for place, ahead in zip(places[near], aheads[near], strict=True):
        prop, margin = _draw_prop(rng, place, curves.heading(place, ahead))
        if prop is None:
            continue
        if prop.kind in ("car", "van"):
            aside = route.distance(shapely.Point(*prop.place)) > 3.4
            free = aside and _clear_of_crossings(district, prop.place)
        else:
            free = not district.surface.intersects(shapely.Polygon(prop.footprint()).buffer(margin))
        if free:
            props.append(prop)
    return _apart(props)


def _draw_prop(rng: np.random.Generator, place: np.ndarray, yaw: float) -> tuple[Prop | None, float]:
    """Something beside the kerb at a place ``(2,)``, or nothing; metres it keeps off the street."""
    normal = np.array([np.sin(yaw), -np.cos(yaw)])
    seed = int(rng.integers(1 << 30))
    choice = rng.random()
    if choice < 0.34:
        where = place + normal * rng.uniform(2.2, 7)
        tall = float(rng.uniform(4, 9))
        leaf = np.array([46.0, 96, 70]) * rng.uniform(0.7, 1.25) + rng.uniform(-8, 8, 3)
        return Prop("tree", where, 0.0, (tall * 0.55, tall * 0.55, tall), leaf, seed), 1.5
    if choice < 0.44:
        return Prop("lamp", place + normal * 0.9, yaw, (0.2, 0.2, 7.5), np.array([92.0, 92, 90])), 0.4
    if choice < 0.66:
        wide, deep = rng.uniform(9, 22), rng.uniform(8, 14)
        tall = 3.0 * rng.integers(1, 6) + rng.uniform(0.5, 1.5)
        where = place + normal * (deep / 2 + rng.uniform(5, 12))
        wall = np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.8, 1.1)
        return Prop("building", where, yaw, (wide, deep, float(tall)), wall, seed), 3.0
    if choice < 0.76:
        kind, size, colour = draw_car(rng)
        where = place - normal * (size[1] / 2 + rng.uniform(0.1, 0.4))
        return Prop(kind, where, yaw + (np.pi if rng.random() < 0.5 else 0), size, colour, seed), 0.0
    return None, 0.0


def _clear_of_crossings(district: District, place: np.ndarray) -> bool:
    centres = np.array([crossing.corners.mean(axis=0) for crossing in district.crossings]).reshape(-1, 2)
    reaches = np.array([np.ptp(crossing.corners, axis=0).max() / 2 for crossing in district.crossings])
    junction = any(area.distance(shapely.Point(*place)) < 4 for area, inside in district.areas if inside)
    return not junction and bool(np.all(np.hypot(*(centres - place).T) > reaches + 3))


def _apart(props: list[Prop]) -> list[Prop]:
    """Drop what would stand inside something placed before it; buildings go first."""
    kept: list[tuple[Prop, float]] = []
    for prop in sorted(props, key=lambda item: item.kind != "building"):
        radius = 0.9 * (0.5 * float(np.hypot(*prop.size[:2])) if prop.kind != "tree" else 1.0)
        if all(np.hypot(*(prop.place - other.place)) - reach > radius for other, reach in kept):
            kept.append((prop, radius))
    return [prop for prop, _ in kept]
