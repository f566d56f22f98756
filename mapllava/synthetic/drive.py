"""How the car moves along its route, and when each sensor fires."""

from __future__ import annotations

import numpy as np

from mapllava.geometry.polyline import cumulative_length
from mapllava.synthetic import curves
from mapllava.synthetic.district import MARGIN
from mapllava.synthetic.rig import ego_pose

PERIOD = 0.5
"""Seconds between samples (key frames at 2 Hz)."""
HEAD_START = 45.0
"""Metres of route within which a drive starts, so that not all start before a junction."""


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
        place = np.array([np.interp(s, self.along, self.route[:, axis]) for axis in (0, 1)])
        yaw = float(np.interp(s, self.along, self.yaw))
        sideways = 0.2 * np.sin(s / 17 + self.waves[0])
        place = place + sideways * np.array([-np.sin(yaw), np.cos(yaw)])
        yaw += np.arctan(0.2 / 17 * np.cos(s / 17 + self.waves[0]))
        roll, pitch = (
            np.deg2rad(0.12) * np.sin(s / scale + wave)
            for scale, wave in zip((5, 3), self.waves[1:], strict=True)
        )
        return ego_pose(place, yaw, float(roll), float(pitch))
