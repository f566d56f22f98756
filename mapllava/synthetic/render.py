"""Renders a scene's camera images: ground, sky, props, light."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from shapely.geometry import LineString, Point

from mapllava.synthetic import curves
from mapllava.synthetic.ground import Sheet, cast_shadows, empty_sheet, paint_sheet
from mapllava.synthetic.look import Backdrop, draw_look, noise_tile
from mapllava.synthetic.prop_painter import PropPainter, Shape, build_shape, shadow
from mapllava.synthetic.props import draw_props, draw_traffic
from mapllava.synthetic.rig import Sensor
from mapllava.synthetic.scene import Scene

BANDS = (0.5, 6.0, 12.0, 24.0, 40.0, 80.0, 2000.0)
"""Distances, metres, between which the ground is drawn with one level of detail."""
NEAR_REACH = 45.0
FAR_REACH = 220.0


@dataclass
class _Levels:
    near: list[Sheet]
    far: list[Sheet]

    def pick(self, texel: float, distance: float) -> Sheet:
        sheets = self.near if distance <= 40 else self.far
        index = int(np.clip(round(np.log2(max(texel / sheets[0].texel, 1.0))), 0, len(sheets) - 1))
        return sheets[index]


class SceneRenderer:
    """Draws the images of one stretch of a scene.

    Args:
        scene: The scene.
        first: Index of the stretch's first sample.
        last: Index after its last sample.
    """

    def __init__(self, scene: Scene, first: int, last: int) -> None:
        self.scene = scene
        self.times = scene.times()[first:last]
        self.size = scene.key.image_size
        self.look = draw_look(scene.key.rng("look"))
        rng = scene.key.rng(f"pictures {first}")
        places = np.array([scene.pose(int(row[0]))[:2, 3] for row in self.times])
        props = draw_props(scene.key.rng("props"), scene.district, scene.drive.route + scene.shift)
        route = LineString(np.vstack([places, places[-1:] + 0.1]))
        props = [prop for prop in props if route.distance(Point(*prop.place)) < 90]
        self.props = [build_shape(prop, self.look) for prop in props]
        outlines = [shadow(prop, self.look) for prop in props if prop.kind != "lamp"]
        self.levels = self._paint_ground(places, rng, outlines)
        density = float(np.clip(self.size[0] / 130, 2.5, 10))
        self.backdrop = Backdrop(self.look, scene.key.rng("backdrop"), density)
        self.traffic = draw_traffic(scene.key.rng("traffic"), scene.district)
        self.fog = self.look.haze
        grain = noise_tile(rng, 256, ((1, self.look.noise),))
        sizes = [sensor.size or self.size for sensor in scene.sensors[1:]]
        width, height = np.max(sizes, axis=0).tolist()
        grain = np.tile(grain, (height // 256 + 2, width // 256 + 2))
        tile = np.clip(np.round(grain + 128), 0, 255).astype(np.uint8)
        self.grain = cv2.merge([tile, np.roll(tile, 97, axis=1), np.roll(tile, 61, axis=0)])
        self.lookups = {}
        for sensor, (width, height) in zip(scene.sensors[1:], sizes, strict=True):
            k, rotation = np.asarray(sensor.intrinsic), sensor.sensor2ego[:3, :3]
            horizon = k[1, 2] + k[1, 1] * rotation[2, 2] / -rotation[2, 1]  # middle column, level car
            rows_above = int(np.clip(horizon + height * 0.04 + 2, 1, height))
            self.lookups[sensor.channel] = self.backdrop.lookup(k, rotation, (width, rows_above))

    def _paint_ground(
        self, places: np.ndarray, rng: np.random.Generator, outlines: list[np.ndarray]
    ) -> _Levels:
        district, look = self.scene.district, self.look
        angle = curves.heading(places[0], places[-1])
        local = curves.turned(places, -angle)
        centre = curves.turned((local.min(axis=0) + local.max(axis=0)) / 2, angle)
        extent = np.ptp(local, axis=0)
        texel = float(np.clip(48.0 / self.size[0], 0.03, 0.08))
        window, shapes = (centre, angle), []
        for reach, resolution, count in ((NEAR_REACH, texel, 4), (FAR_REACH, 0.25, 5)):
            size = (float(extent[0] + 2 * reach), float(extent[1] + 2 * reach))
            sheets = [paint_sheet(district, look, rng, empty_sheet(window, size, resolution))]
            cast_shadows(sheets[0], outlines, look)
            for _ in range(count - 1):
                sheets.append(sheets[-1].halved())
            shapes.append(sheets)
        return _Levels(*shapes)

    def image(self, index: int, camera: int) -> np.ndarray:
        """Draw one image.

        Args:
            index: Sample, counted from the stretch's first.
            camera: Column of :meth:`Scene.times` (1 is the first camera).

        Returns:
            ``(H, W, 3)`` uint8 BGR.
        """
        sensor, time = self.scene.sensors[camera], int(self.times[index, camera])
        ego = self.scene.pose(time)
        cam2global = ego @ sensor.sensor2ego
        k = np.asarray(sensor.intrinsic)
        width, height = sensor.size or self.size
        image = np.empty((height, width, 3), np.uint8)
        self._draw_ground(image, k, cam2global)
        self._draw_sky(image, sensor, cam2global, float(np.arctan2(ego[1, 0], ego[0, 0])))
        painter = PropPainter(image, k, np.linalg.inv(cam2global), self.fog)
        painter.paint(self.props + self._moving(ego, self.scene.seconds(time), painter))
        return self._develop(image, index, camera)

    def _moving(self, ego: np.ndarray, seconds: float, painter: PropPainter) -> list[Shape]:
        """The moving cars in view, none of them on top of the camera car."""
        cars = [car for traffic in self.traffic for car in traffic.props(self.scene.drive, seconds)]
        if not cars:
            return []
        places = np.array([[*car.place, 0.8] for car in cars])
        distance = np.hypot(*(places[:, :2] - ego[:2, 3]).T)
        seen = painter.sees(places, np.full(len(cars), 4.0)) & (distance > 5.5) & (distance < 100)
        return [build_shape(car, self.look) for car, visible in zip(cars, seen, strict=True) if visible]

    def _draw_ground(self, image: np.ndarray, k: np.ndarray, cam2global: np.ndarray) -> None:
        rotation, (cx, cy, cz) = cam2global[:3, :3], cam2global[:3, 3]
        m = rotation @ np.linalg.inv(k)
        # Pixel (u, v, 1) to homogeneous ground point: centre - ray * height / ray_z.
        to_ground = np.stack([cx * m[2] - cz * m[0], cy * m[2] - cz * m[1], m[2]])
        focal, height, width = k[1, 1], image.shape[0], image.shape[1]
        middle = (width - 1) / 2
        horizon = -(m[2, 0] * middle + m[2, 2]) / m[2, 1]
        end = height
        for near, far in itertools.pairwise(BANDS):
            start = int(np.clip(np.ceil(horizon + focal * cz / far), 0, height))
            if far == BANDS[-1]:
                start = int(np.clip(np.floor(horizon) - 1, 0, height))
            if start >= end:
                continue
            place = float(np.sqrt(max(near, 4.0) * min(far, 200)))
            aspect = place / cz
            factor = int(np.clip(np.ceil(aspect / 2.5), 1, 8))
            texel = place / focal * max(1.0, 0.7 * aspect / factor)
            sheet = self.levels.pick(texel, far)
            rows = np.array([[1, 0, 0], [0, 1 / factor, start + 0.5 / factor - 0.5], [0, 0, 1]])
            strip = cv2.warpPerspective(
                sheet.picture, sheet.matrix @ to_ground @ rows, (width, (end - start) * factor),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            if factor > 1:
                strip = cv2.resize(strip, (width, end - start), interpolation=cv2.INTER_AREA)
            if far > 12:
                self._fog(strip, focal * cz, np.arange(start, end) - horizon)
            image[start:end] = strip
            end = start
        image[:end] = 0

    def _fog(self, strip: np.ndarray, scale: float, below: np.ndarray) -> None:
        distance = scale / np.maximum(below, 1e-3)
        share = np.clip((distance - 20) / 160, 0, 0.9)[:, None, None].astype(np.float32)
        strip[:] = (strip + share * (self.fog.astype(np.float32) - strip)).astype(np.uint8)

    def _draw_sky(self, image: np.ndarray, sensor: Sensor, cam2global: np.ndarray, yaw: float) -> None:
        view = self.backdrop.view(self.lookups[sensor.channel], yaw)
        rows = len(view)
        m = (cam2global[:3, :3] @ np.linalg.inv(np.asarray(sensor.intrinsic)))[2]
        edge = -(m[0] * np.arange(image.shape[1]) + m[2]) / m[1]
        clear = int(np.clip(np.floor(edge.min()), 0, rows))
        image[:clear] = view[:clear]
        if clear < rows:
            sky = np.arange(clear, rows)[:, None] < edge[None]
            image[clear:rows][sky] = view[clear:][sky]

    def _develop(self, image: np.ndarray, index: int, camera: int) -> np.ndarray:
        """Exposure, colour temperature and noise."""
        rng = np.random.default_rng([self.scene.key.seed, int(self.times[index, camera]) % (1 << 31)])
        gain = self.look.gain * (1 + 0.02 * np.sin(camera * 2.4))
        table = np.clip(np.arange(256)[:, None] * gain, 0, 255)
        table = 255 * (1 - np.exp(-1.9 * table / 255)) / (1 - np.exp(-1.9)) * 0.35 + table * 0.65
        image = cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8)[None])
        dx, dy = rng.integers(0, 256, 2)
        grain = self.grain[dy : dy + image.shape[0], dx : dx + image.shape[1]]
        return cv2.addWeighted(image, 1.0, grain, 1.0, -128.0)
