"""How one scene looks: colours of ground and paint, light, wear, and the panorama of sky and skyline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GRASS = ((58, 118, 92), (52, 100, 84), (72, 128, 112), (88, 132, 140), (70, 110, 76))
PAVING = ((158, 164, 168), (140, 150, 162), (128, 142, 170), (172, 172, 168))
SKIES = (
    ((206, 158, 104), (236, 222, 205)),  # blue
    ((222, 178, 128), (240, 232, 222)),  # pale blue
    ((198, 194, 188), (226, 224, 222)),  # overcast
    ((176, 138, 120), (190, 210, 240)),  # evening
    ((214, 170, 122), (224, 226, 232)),
)

LOWEST, HIGHEST = -3.0, 42.0
"""Elevations, degrees, of the panorama's lower and upper edge."""


@dataclass(frozen=True)
class Look:
    """A scene's colours (BGR, 0 to 255) and light.

    Attributes:
        asphalt: Colour of the carriageway.
        paving: Colour of the pavement beside it.
        pavement_width: Metres.
        grass: Colour of the open ground.
        kerb: Colour of the kerb stones.
        white: Brightness of white paint.
        wear: Share of paint rubbed off where it is worst.
        sky: Colours at the top and at the horizon.
        sun: ``(3,)`` unit vector to the sun.
        sunlight: Strength of directed light, 0 (overcast) to 1.
        gain: ``(3,)`` exposure and colour temperature of the cameras.
        noise: Standard deviation of sensor noise, grey levels.
    """

    asphalt: np.ndarray
    paving: np.ndarray
    pavement_width: float
    grass: np.ndarray
    kerb: np.ndarray
    white: float
    wear: float
    sky: np.ndarray
    sun: np.ndarray
    sunlight: float
    gain: np.ndarray
    noise: float

    @property
    def haze(self) -> np.ndarray:
        """Colour (BGR) that far ground fades to, ``(3,)``."""
        return 0.55 * self.sky[1] + 0.45 * self.grass


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a scene's look."""
    kind = int(rng.integers(len(SKIES)))
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
    warm = rng.uniform(-0.05, 0.05)
    exposure = rng.uniform(0.82, 1.12) * (0.85 if kind == 3 else 1.0)
    return Look(
        asphalt=rng.uniform(62, 112) + rng.uniform(-4, 4, 3),
        paving=np.array(PAVING[rng.integers(len(PAVING))]) * rng.uniform(0.9, 1.1),
        pavement_width=float(rng.uniform(1.8, 4.0)),
        grass=np.array(GRASS[rng.integers(len(GRASS))]) * rng.uniform(0.85, 1.15),
        kerb=np.array([196.0, 202, 204]) * rng.uniform(0.93, 1.1),
        white=float(rng.uniform(215, 245)),
        wear=float(rng.uniform(0.1, 0.45)),
        sky=np.array(SKIES[kind], dtype=float) * rng.uniform(0.95, 1.04),
        sun=np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]),
        sunlight=0.25 if kind == 2 else float(rng.uniform(0.6, 1.0)),
        gain=exposure * np.array([1 - warm, 1.0, 1 + warm]),
        noise=float(rng.uniform(1.2, 2.2)),
    )


def noise_tile(rng: np.random.Generator, size: int, octaves: tuple[tuple[int, float], ...]) -> np.ndarray:
    """Tileable noise: float32 ``(size, size)``, a sum of octaves (cell in pixels, standard deviation)."""
    out = np.zeros((size, size), np.float32)
    for cell, deviation in octaves:
        small = rng.standard_normal((size // cell, size // cell)).astype(np.float32) * deviation
        if cell == 1:
            out += small
            continue
        padded = np.pad(small, 2, mode="wrap")
        big = cv2.resize(padded, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        out += big[2 * cell : 2 * cell + size, 2 * cell : 2 * cell + size]
    return out


def tiled(tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeat a tile ``(h, w, ...)`` to cover ``shape`` (rows, columns)."""
    rows, columns = (-(-size // part) for size, part in zip(shape, tile.shape[:2], strict=True))
    return np.tile(tile, (rows, columns, *[1] * (tile.ndim - 2)))[: shape[0], : shape[1]]


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
        picture[elevation[:, 0] < 0] = look.haze
        wrapped = np.hstack([picture, picture[:, : int(120 * density)]])
        self.picture = np.clip(wrapped, 0, 255).astype(np.uint8)

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
        places = np.linspace(0, 1024, self.width, endpoint=False)
        heights = np.interp(places, np.arange(1024), crowns, period=1024)
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
