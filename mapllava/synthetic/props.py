"""Things that stand in the way: buildings, trees, lamp posts, parked and moving cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString

from mapllava.geometry.polyline import cumulative_length
from mapllava.synthetic import curves
from mapllava.synthetic.district import District
from mapllava.synthetic.drive import Drive

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
        self.along = cumulative_length(self.way)

    def props(self, drive: Drive, when: float) -> list[Prop]:
        """The cars where they are at a time in seconds."""
        out = []
        along = self.along
        base = drive.progress(when) if self.speed is None else self.speed * when
        share = along[-1] / drive.along[-1] if self.speed is None else 1.0
        places = base * share + self.offsets
        rears, fronts = (
            np.stack([np.interp(places + reach, along, self.way[:, axis]) for axis in (0, 1)], axis=-1)
            for reach in (-1.2, 1.2)
        )
        for index in np.flatnonzero((places > 5) & (places < along[-1] - 5)):
            kind, size, colour = self.cars[index]
            rear, front = rears[index], fronts[index]
            yaw = float(np.arctan2(*(front - rear)[::-1]))
            out.append(Prop(kind, (rear + front) / 2, yaw, size, colour))
        return out


def draw_car(rng: np.random.Generator) -> tuple[str, tuple[float, float, float], np.ndarray]:
    """Kind, size in metres and colour (3,), BGR, of a random vehicle."""
    colour = np.array(CAR_COLOURS[rng.integers(len(CAR_COLOURS))], dtype=float) * rng.uniform(0.9, 1.1)
    if rng.random() < 0.15:
        return "van", (float(rng.uniform(5.0, 6.5)), 2.0, float(rng.uniform(2.2, 2.8))), colour
    return (
        "car",
        (float(rng.uniform(4.0, 4.8)), float(rng.uniform(1.75, 1.9)), float(rng.uniform(1.42, 1.65))),
        colour,
    )


def draw_traffic(rng: np.random.Generator, district: District) -> list[Traffic]:
    """Cars that come towards the camera car and cars that drive with it."""
    out = []
    if district.oncoming is not None:
        length = cumulative_length(district.oncoming)[-1]
        speed = float(rng.uniform(5, 9))
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
        yaw = float(np.arctan2(*(ahead - place)[::-1]))
        normal = np.array([np.sin(yaw), -np.cos(yaw)])
        _beside(rng, props, district, route, (place, yaw, normal))
    return _apart(props)


def _beside(
    rng: np.random.Generator,
    props: list[Prop],
    district: District,
    route: LineString,
    spot: tuple[np.ndarray, float, np.ndarray],
) -> None:
    place, yaw, normal = spot
    seed = int(rng.integers(1 << 30))
    choice = rng.random()
    if choice < 0.34:
        where = place + normal * rng.uniform(2.2, 7)
        tall = float(rng.uniform(4, 9))
        leaf = np.array([46.0, 96, 70]) * rng.uniform(0.7, 1.25) + rng.uniform(-8, 8, 3)
        prop = Prop("tree", where, 0.0, (tall * 0.55, tall * 0.55, tall), leaf, seed)
        _keep(props, district, prop, 1.5)
    elif choice < 0.44:
        _keep(
            props,
            district,
            Prop("lamp", place + normal * 0.9, yaw, (0.2, 0.2, 7.5), np.array([92.0, 92, 90])),
            0.4,
        )
    elif choice < 0.66:
        wide, deep, tall = (
            rng.uniform(9, 22),
            rng.uniform(8, 14),
            3.0 * rng.integers(1, 6) + rng.uniform(0.5, 1.5),
        )
        where = place + normal * (deep / 2 + rng.uniform(5, 12))
        wall = np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.8, 1.1)
        _keep(props, district, Prop("building", where, yaw, (wide, deep, float(tall)), wall, seed), 3.0)
    elif choice < 0.76:
        kind, size, colour = draw_car(rng)
        where = place - normal * (size[1] / 2 + rng.uniform(0.1, 0.4))
        prop = Prop(kind, where, yaw + (np.pi if rng.random() < 0.5 else 0), size, colour, seed)
        if route.distance(shapely.Point(*where)) > 3.4 and _clear_of_crossings(district, where):
            props.append(prop)


def _keep(props: list[Prop], district: District, prop: Prop, margin: float) -> None:
    box = _footprint(prop).buffer(margin)
    if not district.surface.intersects(box):
        props.append(prop)


def _clear_of_crossings(district: District, place: np.ndarray) -> bool:
    centres = np.array([crossing.corners.mean(axis=0) for crossing in district.crossings]).reshape(-1, 2)
    reaches = np.array([np.ptp(crossing.corners, axis=0).max() / 2 for crossing in district.crossings])
    junction = any(area.distance(shapely.Point(*place)) < 4 for area, inside in district.areas if inside)
    return not junction and bool(np.all(np.hypot(*(centres - place).T) > reaches + 3))


def _footprint(prop: Prop) -> shapely.Polygon:
    c, s = np.cos(prop.yaw), np.sin(prop.yaw)
    half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.array(prop.size[:2]) / 2
    return shapely.Polygon(prop.place + half @ np.array([[c, s], [-s, c]]))


def _apart(props: list[Prop]) -> list[Prop]:
    """Drop what would stand inside something placed before it; buildings go first."""
    kept: list[Prop] = []
    radii: list[float] = []
    for prop in sorted(props, key=lambda item: item.kind != "building"):
        radius = 0.5 * float(np.hypot(*prop.size[:2])) if prop.kind != "tree" else 1.0
        gaps = [np.hypot(*(prop.place - other.place)) - r for other, r in zip(kept, radii, strict=True)]
        if not gaps or min(gaps) > radius * 0.9:
            kept.append(prop)
            radii.append(radius * 0.9)
    return kept
