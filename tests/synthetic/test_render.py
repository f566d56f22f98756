"""What is drawn must fall on what the map says: the whole chain, through the ground-truth cache."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from shapely import Polygon, contains_xy

from mapllava import gt_cache
from mapllava.geometry.polyline import arc_length, resample

HEIGHT = 1.84  # of the LiDAR above the ground, metres


@pytest.fixture(scope="module")
def samples(city_cache):
    return [entry for path in city_cache.values() for entry in gt_cache.load(path)["data_list"]]


def sides(points: np.ndarray, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Dense points along a line and unit vectors to its left."""
    dense = resample(points, max(int(arc_length(points) * 3), 2) + 1)
    step = np.gradient(dense, axis=0)
    step /= np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    return dense, np.stack([-step[:, 1], step[:, 0]], axis=-1)


def look_up(city, entry, images, points):
    """Colours (n, 3) of ground points in the first camera that sees each; NaN where none does."""
    out = np.full((len(points), 3), np.nan)
    for name, cam in entry["cams"].items():
        image = images[name]
        ground = np.column_stack([points, np.full(len(points), -HEIGHT), np.ones(len(points))])
        seen = (ground @ np.asarray(cam["lidar2cam"]).T)[:, :3]
        near = (seen[:, 2] > 2) & (seen[:, 2] < 13)
        pixels = seen @ np.asarray(cam["cam2img"]).T
        pixels = np.round(pixels[:, :2] / np.where(near, pixels[:, 2], 1)[:, None]).astype(int)
        near &= ((pixels >= 0) & (pixels < image.shape[1::-1])).all(axis=1) & np.isnan(out[:, 0])
        out[near] = image[pixels[near, 1], pixels[near, 0]]
    return out


def collect(city, samples, label, shifts):
    """Colours on the lines of a class, moved sideways by each of ``shifts`` metres: (shifts, n, 3)."""
    found = [[] for _ in shifts]
    for entry in samples:
        images = {name: cv2.imread(str(city / cam["img_path"])) for name, cam in entry["cams"].items()}
        for line in entry["polylines"]:
            if line["label"] != label:
                continue
            points, left = sides(np.asarray(line["points"]), line["closed"])
            for row, shift in zip(found, shifts, strict=True):
                row.append(look_up(city, entry, images, points + shift * left))
    colours = np.array([np.concatenate(row) for row in found])
    return colours[:, ~np.isnan(colours).any(axis=(0, 2))]


def test_dividers_fall_on_paint(city, samples):
    on, left, right = collect(city, samples, 0, (0.0, 0.6, -0.6)).mean(axis=2)
    assert len(on) > 500
    contrast = on - np.maximum(left, right)
    # Dashes leave about half of a line bare, cars hide some: a third must stand out clearly.
    assert np.mean(contrast > 25) > 0.3
    off = np.mean(left > np.maximum(on, right) + 25)
    assert off < 0.08


def test_kerbs_fall_on_the_edge_of_the_carriageway(city, samples):
    shifts = (-0.9, -0.3, 0.3, 0.9)
    colours = collect(city, samples, 2, shifts)
    assert colours.shape[1] > 1000
    steps = np.linalg.norm(np.diff(colours, axis=0), axis=2)
    across, beside = steps[1], np.minimum(steps[0], steps[2])
    assert np.mean(across > 30) > 0.75  # the colour changes across the line
    assert np.median(across) > 2 * np.median(beside)


def test_crossings_are_striped(city, samples):
    spreads = []
    for entry in samples:
        images = {name: cv2.imread(str(city / cam["img_path"])) for name, cam in entry["cams"].items()}
        for line in entry["polylines"]:
            if line["label"] == 1:
                inner = Polygon(line["points"]).buffer(-0.3)
                if inner.is_empty:
                    continue
                x0, y0, x1, y1 = inner.bounds
                x, y = np.meshgrid(np.arange(x0, x1, 0.12), np.arange(y0, y1, 0.12))
                grid = np.column_stack([x.ravel(), y.ravel()])
                values = look_up(city, entry, images, grid[contains_xy(inner, grid)])
                values = values[~np.isnan(values[:, 0])].mean(axis=1)
                if len(values) > 300:
                    spreads.append(np.percentile(values, 80) - np.percentile(values, 20))
    assert len(spreads) >= 3
    assert np.median(spreads) > 50  # bright stripes on dark asphalt, both plenty


def test_wrong_extrinsics_miss_the_paint(city, samples):
    """The test above has teeth: with every camera turned by three degrees, far less is hit."""
    turned = []
    angle = np.deg2rad(3)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    for entry in samples:
        cams = {
            name: {**cam, "lidar2cam": np.asarray(cam["lidar2cam"]) @ turn}
            for name, cam in entry["cams"].items()
        }
        turned.append({**entry, "cams": cams})
    right = collect(city, samples, 0, (0.0, 0.6, -0.6)).mean(axis=2)
    wrong = collect(city, turned, 0, (0.0, 0.6, -0.6)).mean(axis=2)
    hit = [np.mean(rows[0] - np.maximum(rows[1], rows[2]) > 25) for rows in (right, wrong)]
    assert hit[1] < 0.6 * hit[0]


def test_every_ground_pixel_shows_its_own_place(city, city_cache):
    """Ground whose colour tells where it is, seen through the poses that the tables hold."""
    import json

    from mapllava.synthetic.render import SceneRenderer
    from mapllava.synthetic.scene import SceneKey, build_scene

    key = SceneKey("scene-0061", "train", 4, (320, 180), 0)
    renderer = SceneRenderer(build_scene(key), 0, 4)
    renderer.props, renderer.traffic = [], []
    renderer._develop = lambda image, *_: image
    renderer._fog = lambda *_: None
    poses = {
        pose["timestamp"]: pose for pose in json.loads((city / "v1.0-mini" / "ego_pose.json").read_text())
    }
    entry = next(e for e in samples_of(city_cache) if e["scene_name"] == "scene-0061")
    shift = np.array(poses[entry["timestamp"]]["translation"][:2])
    shift -= renderer.scene.pose(entry["timestamp"])[:2, 3]  # where the scene lies in its location's map
    for axis in (0, 1):
        for sheet in (*renderer.levels.near, *renderer.levels.far):
            sheet.picture = coded(sheet, axis)
        for camera, (name, cam) in enumerate(entry["cams"].items()):
            image = renderer.image(0, camera_column(renderer, name)).astype(float)
            v, u = np.mgrid[120:175:6, 5:315:9]
            pose = np.asarray(entry["lidar2ego"])
            cam2global = np.asarray(entry["ego2global"]) @ pose @ np.linalg.inv(np.asarray(cam["lidar2cam"]))
            rays = (
                np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(cam["cam2img"]).T @ cam2global[:3, :3].T
            )
            place = cam2global[:3, 3] - rays * (cam2global[2, 3] / rays[..., 2:])
            seen = np.arctan2(image[v, u, 0] - 127.5, image[v, u, 1] - 127.5) / (2 * np.pi) * PERIOD
            miss = (seen - (place[..., axis] - shift[axis]) + PERIOD / 2) % PERIOD - PERIOD / 2
            assert np.abs(np.median(miss)) < 0.03, (camera, name)
            assert np.percentile(np.abs(miss), 90) < 0.12, name


PERIOD = 16.0


def samples_of(city_cache):
    return [entry for path in city_cache.values() for entry in gt_cache.load(path)["data_list"]]


def camera_column(renderer, name):
    return [sensor.channel for sensor in renderer.scene.sensors].index(name)


def coded(sheet, axis):
    """A picture of a sheet's size whose colour is the phase of the global x (0) or y (1)."""
    rows, columns = sheet.picture.shape[:2]
    inverse = np.linalg.inv(sheet.matrix)
    u, v = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    phase = (inverse[axis, 0] * u + inverse[axis, 1] * v + inverse[axis, 2]) * (2 * np.pi / PERIOD)
    waves = [127.5 + 127 * np.sin(phase), 127.5 + 127 * np.cos(phase), np.zeros_like(u)]
    return np.stack(waves, axis=-1).round().astype(np.uint8)
