"""How one scene looks: colours of ground, sky and paint, light and wear."""

from __future__ import annotations

from dataclasses import dataclass

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
    import cv2

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
    """Repeat a tile ``(h, w)`` to cover ``shape`` (rows, columns)."""
    repeats = (-(-shape[0] // tile.shape[0]), -(-shape[1] // tile.shape[1]))
    return np.tile(tile, repeats)[: shape[0], : shape[1]]
