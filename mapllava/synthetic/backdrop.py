"""Sky, clouds and the far skyline as one panorama that each camera looks up in."""

from __future__ import annotations

import cv2
import numpy as np

from mapllava.synthetic.look import Look, noise_tile

LOWEST, HIGHEST = -3.0, 42.0
"""Elevations, degrees, of the panorama's lower and upper edge."""


class Backdrop:
    """A panorama around the scene.

    Args:
        look: Colours and sun.
        rng: Source of clouds and skyline.
        density: Pixels per degree.
    """

    def __init__(self, look: Look, rng: np.random.Generator, density: float) -> None:
        self.density = density
        self.width = int(360 * density)
        height = int((HIGHEST - LOWEST) * density)
        elevation = np.linspace(HIGHEST, LOWEST, height)[:, None]
        share = np.clip(elevation / 35, 0, 1) ** 0.6
        sky = look.sky[1] + share[..., None] * (look.sky[0] - look.sky[1])
        picture = np.repeat(sky, self.width, axis=1).astype(np.float32)
        self._clouds(picture, elevation, rng)
        self._skyline(picture, look, rng)
        below = elevation[:, 0] < 0
        picture[below] = self.haze(look)
        self.picture = np.clip(np.hstack([picture, picture[:, : int(120 * density)]]), 0, 255).astype(
            np.uint8
        )

    @staticmethod
    def haze(look: Look) -> np.ndarray:
        """Colour (3,), BGR, that far ground fades to."""
        return 0.55 * look.sky[1] + 0.45 * look.grass

    def _clouds(self, picture: np.ndarray, elevation: np.ndarray, rng: np.random.Generator) -> None:
        tile = noise_tile(rng, 1024, ((256, 0.6), (128, 0.5), (64, 0.35), (32, 0.2), (16, 0.1)))
        stretched = cv2.resize(tile, (self.width, picture.shape[0]), interpolation=cv2.INTER_LINEAR)
        cover = np.clip(stretched * 0.5 + rng.uniform(-0.1, 0.25), 0, 0.75) * np.clip(elevation / 8, 0, 1)
        picture += cover[..., None] * (np.array([248.0, 246, 244]) - picture)

    def _skyline(self, picture: np.ndarray, look: Look, rng: np.random.Generator) -> None:
        horizon = int(HIGHEST * self.density)
        for layer, mix in enumerate((0.75, 0.55)):
            for _ in range(70):
                left, wide = rng.integers(self.width), rng.uniform(1.0, 5.0) * self.density
                tall = rng.gamma(2.0, 1.4 - 0.3 * layer) * self.density
                stone = np.array([130.0, 132, 136]) * rng.uniform(0.6, 1.2)
                colour = stone + mix * (look.sky[1] - stone)
                picture[max(0, horizon - int(tall)) : horizon + 1, left : int(left + wide)] = colour
        crowns = np.abs(noise_tile(rng, 1024, ((64, 0.7), (16, 0.4), (4, 0.25)))[0])
        heights = np.interp(
            np.linspace(0, 1024, self.width, endpoint=False), np.arange(1024), crowns, period=1024
        )
        rows = np.arange(picture.shape[0])[:, None]
        trees = (rows >= horizon - (0.7 + 1.1 * heights) * self.density) & (rows <= horizon)
        leaf = look.grass * 0.62
        picture[trees] = leaf + 0.4 * (look.sky[1] - leaf)

    def lookup(
        self, intrinsic: np.ndarray, rotation: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Where each pixel of a camera looks in the panorama.

        Args:
            intrinsic: ``(3, 3)``.
            rotation: ``(3, 3)`` camera to ego.
            size: (width, rows) of the image's upper part.

        Returns:
            Two maps ``(rows, width)`` float32 for ``cv2.remap``, columns counted from the given
            azimuth (third item, radians, ego frame) clockwise.
        """
        u, v = np.meshgrid(np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64))
        rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ (rotation @ np.linalg.inv(intrinsic)).T
        azimuth = np.arctan2(rays[..., 1], rays[..., 0])
        middle = float(np.arctan2(rotation[1, 2], rotation[0, 2]))
        left = middle + np.deg2rad(59)
        columns = np.rad2deg((left - azimuth) % (2 * np.pi)) * self.density
        elevation = np.rad2deg(np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1])))
        rows = (HIGHEST - elevation) * self.density
        return columns.astype(np.float32), rows.astype(np.float32), left

    def view(self, maps: tuple[np.ndarray, np.ndarray, float], yaw: float) -> np.ndarray:
        """The panorama through a camera's look-up, (H, W, 3), when the car points to ``yaw`` (radians)."""
        start = int(np.rad2deg((-(maps[2] + yaw)) % (2 * np.pi)) * self.density) % self.width
        window = self.picture[:, start : start + int(119 * self.density)]
        return cv2.remap(window, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
