"""One scene of the city: where it is, its streets, its drive, its sensors."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from mapllava.geometry.polyline import cumulative_length
from mapllava.synthetic import curves
from mapllava.synthetic.district import MARGIN, District, build_district
from mapllava.synthetic.rig import Sensor, draw_rig, pose, turn

LOCATIONS = ("singapore-onenorth", "singapore-hollandvillage", "singapore-queenstown", "boston-seaport")
FIRST_TIME = 1_532_402_927_647_951
"""Time stamp of the first sample of scene 0, microseconds."""
PERIOD = 0.5
"""Seconds between samples (key frames at 2 Hz)."""
HEAD_START = 45.0
"""Metres of route within which a drive starts, so that not all start before a junction."""


@dataclass(frozen=True)
class SceneKey:
    """What a scene is made from.

    Attributes:
        name: Official scene name, such as ``scene-0061``.
        split: 'train' or 'val'.
        num_samples: Number of key frames.
        image_size: (width, height), pixels.
        seed: The city's seed.
    """

    name: str
    split: str
    num_samples: int
    image_size: tuple[int, int]
    seed: int

    @property
    def location(self) -> str:
        """nuScenes location; follows from the name."""
        return LOCATIONS[zlib.crc32(self.name.encode()) // 7 % 4]

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one purpose, the same in every process."""
        return np.random.default_rng([self.seed, *(zlib.crc32(t.encode()) for t in (self.name, purpose))])


class Drive:
    """A drive along a route, slower in bends, with a little sway.

    Args:
        route: ``(n, 2)`` the way, metres, vertices 0.5 m apart.
        speed: Speed on straight stretches, m/s.
        rng: Source of the start and of sway.
    """

    def __init__(self, route: np.ndarray, speed: float, rng: np.random.Generator) -> None:
        self.route = route
        self.along = cumulative_length(route)
        self.yaw = curves.headings(route)
        bend = np.abs(np.gradient(self.yaw, self.along))
        limit = np.minimum(speed, np.sqrt(2.5 / np.maximum(bend, 1e-3)))
        kernel = np.hanning(33)
        limit = np.convolve(np.pad(limit, 16, mode="edge"), kernel / kernel.sum(), mode="valid")
        self.time = np.concatenate([[0.0], np.cumsum(np.diff(self.along) / limit[1:])])
        self.time -= float(np.interp(MARGIN - 5 + rng.uniform(0, HEAD_START), self.along, self.time))
        self.waves = rng.uniform(0, 2 * np.pi, 3)

    def progress(self, when: float) -> float:
        """Metres along the route at a time (seconds after the first sample)."""
        return float(np.interp(when, self.time, self.along))

    def pose(self, when: float) -> np.ndarray:
        """The car's pose ``(4, 4)`` in the global frame at a time in seconds."""
        s = self.progress(when)
        place, yaw = curves.at(self.route, s), float(curves.at(self.route, s, self.yaw))
        sideways = 0.2 * np.sin(s / 17 + self.waves[0])
        place = place + sideways * np.array([-np.sin(yaw), np.cos(yaw)])
        yaw += np.arctan(0.2 / 17 * np.cos(s / 17 + self.waves[0]))
        roll, pitch = (np.deg2rad(0.12) * np.sin(s / (5, 3)[k] + self.waves[1 + k]) for k in (0, 1))
        return pose(turn(roll, pitch, yaw), np.append(place, 0.0))


@dataclass
class Scene:
    """A scene in global coordinates.

    Attributes:
        key: What it was made from.
        district: Its streets.
        drive: The car's motion.
        sensors: LiDAR and six cameras.
        shift: ``(2,)`` where the district's own origin lies in the location's map, metres.
    """

    key: SceneKey
    district: District
    drive: Drive
    sensors: list[Sensor]
    shift: np.ndarray

    @property
    def log_name(self) -> str:
        """Name of the scene's log; part of every file name."""
        return f"synthetic-{self.key.name}"

    def times(self) -> np.ndarray:
        """Time stamps ``(num_samples, 1 + cameras)`` int64, microseconds; column 0 is the LiDAR's."""
        rng = self.key.rng("times")
        samples = self._start + np.arange(self.key.num_samples) * round(PERIOD * 1e6)
        samples = samples + rng.integers(-2500, 2501, len(samples))
        leads = np.array([round(sensor.lead * 1e6) for sensor in self.sensors])
        jitter = rng.integers(-1500, 1501, (len(samples), len(leads)))
        jitter[:, leads == 0] = 0
        return samples[:, None] - leads + jitter

    def pose(self, time: int) -> np.ndarray:
        """The car's global pose ``(4, 4)`` at a time stamp in microseconds."""
        out = self.drive.pose(self.seconds(time))
        out[:2, 3] += self.shift
        return out

    def seconds(self, time: int) -> float:
        """Seconds from the scene's first sample to a time stamp in microseconds."""
        return (int(time) - self._start) / 1e6

    @property
    def _start(self) -> int:
        return FIRST_TIME + int(self.key.name.rsplit("-", 1)[-1]) * 100_000_000


def build_scene(key: SceneKey) -> Scene:
    """Draw a scene's streets, drive and calibration, around the origin."""
    rng = key.rng("streets")
    speed = float(rng.uniform(6.0, 10.0))
    length = speed * PERIOD * key.num_samples + HEAD_START
    district = build_district(rng, key.location != "boston-seaport", length)
    low = np.array(district.surface.bounds[:2])
    drive = Drive(district.route - low, speed, rng)
    return Scene(key, district.moved(-low), drive, draw_rig(key.rng("rig"), key.image_size), np.zeros(2))


def placed(scenes: list[Scene], gap: float = 100.0) -> tuple[list[Scene], tuple[float, float]]:
    """Lay one location's scenes out on shelves, ``gap`` metres apart.

    Returns:
        The scenes in the same order in global coordinates, and the map's (width, height) in metres.
    """
    sizes = np.array([scene.district.surface.bounds[2:] for scene in scenes]).reshape(-1, 2)
    row_width = max(1500.0, float(np.sqrt((sizes + gap).prod(axis=1).sum()) * 1.1))
    x, y, row, widest, out = gap, gap, 0.0, row_width, []
    for scene, (width, height) in zip(scenes, sizes, strict=True):
        if x > gap and x + width + gap > row_width:
            x, y, row = gap, y + row + gap, 0.0
        shift = np.array([x, y])
        out.append(replace(scene, district=scene.district.moved(shift), shift=shift))
        x, row = x + width + gap, max(row, height)
        widest = max(widest, x)
    return out, (round(widest, 1), round(y + row + gap, 1))
