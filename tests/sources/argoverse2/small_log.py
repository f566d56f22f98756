"""Logs of Argoverse 2 written by hand, in the official format."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

Z = 12.0
"""Height of the ground in the city, metres."""


def points(line):
    """A line of (x, y) or (x, y, z) as the format writes it."""
    return [dict(zip("xyz", (*map(float, p), Z)[:3], strict=True)) for p in line]


def lane(left, right, marks=("SOLID_WHITE", "SOLID_WHITE"), **changed):
    """A lane segment: ``neighbours=(left id, right id)``, ``before``, ``after``, ``junction``."""
    neighbours = changed.get("neighbours", (None, None))
    return {
        "left_lane_boundary": points(left), "right_lane_boundary": points(right),
        "left_lane_mark_type": marks[0], "right_lane_mark_type": marks[1],
        "left_neighbor_id": neighbours[0], "right_neighbor_id": neighbours[1],
        "predecessors": list(changed.get("before", ())), "successors": list(changed.get("after", ())),
        "is_intersection": changed.get("junction", False), "lane_type": "VEHICLE",
    }  # fmt: skip


def strip(y_left, y_right, x=(-10, 10), **changed):
    """A straight lane along x; driven along it where ``y_left`` is above ``y_right``, else back."""
    ends = x if y_left > y_right else x[::-1]
    return lane([(e, y_left) for e in ends], [(e, y_right) for e in ends], **changed)


def write(folder: Path, lanes=(), crossings=(), areas=(), log="0a1b") -> Path:
    """A log's folder with its map: lanes, numbered from 1; crossings, pairs of edges; areas, outlines."""
    (folder / log / "map").mkdir(parents=True, exist_ok=True)
    table = {
        "lane_segments": {str(i): {"id": i, **each} for i, each in enumerate(lanes, 1)},
        "pedestrian_crossings": {
            str(i): {"id": i, "edge1": points(a), "edge2": points(b)} for i, (a, b) in enumerate(crossings, 1)
        },
        "drivable_areas": {
            str(i): {"id": i, "area_boundary": points(ring)} for i, ring in enumerate(areas, 1)
        },
    }
    path = folder / log / "map" / f"log_map_archive_{log}____PIT_city_1.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    return folder / log


def pose(x=0.0, y=0.0, yaw=0.0, pitch=0.0) -> np.ndarray:
    """Ego to city: first the nose by ``pitch`` down, then the turn to the left by ``yaw``, radians."""
    c, s, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn, nod = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn @ nod, (x, y, Z)
    return matrix


PERIOD = 100_000_000
"""Nanoseconds from sweep to sweep."""
START = 315_966_253_000_000_000
SPEED = 5.0
"""Metres per second along the city's x."""
CAMERA = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Axes of a camera that looks ahead, in the ego frame."""


def add_sensors(log: Path, sweeps=11, delay=10_000_000) -> Path:
    """Tables and (empty) sensor files of a log: the car drives along x, every camera looks ahead."""
    import pandas as pd
    from scipy.spatial.transform import Rotation

    from mapllava.sources.argoverse2.sensor_log import CAMERAS, EGO_HEIGHT

    def table(name, rows):
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_feather(log / name)

    def se3(rotation, shift):
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        return {"qw": w, "qx": x, "qy": y, "qz": z, **dict(zip(("tx_m", "ty_m", "tz_m"), shift, strict=True))}

    times = [START + PERIOD * i for i in range(sweeps)]
    moments = sorted({*times, *(time + delay for time in times)})
    rows = [
        {"timestamp_ns": t, **se3(np.eye(3), (SPEED * (t - START) / 1e9, 0.0, Z + EGO_HEIGHT))}
        for t in moments
    ]
    table("city_SE3_egovehicle.feather", rows)
    mounted = [{"sensor_name": name, **se3(CAMERA, (1.5, 0.0, 1.4))} for name in CAMERAS]
    turned = Rotation.from_euler("z", 3, degrees=True).as_matrix()
    mounted.append({"sensor_name": "up_lidar", **se3(turned, (1.3, 0.0, 1.6))})
    table("calibration/egovehicle_SE3_sensor.feather", mounted)
    lens = {
        "fx_px": 1700.0,
        "fy_px": 1690.0,
        "cx_px": 775.0,
        "cy_px": 1024.0,
        "k1": -0.2,
        "k2": 0.0,
        "k3": 0.0,
    }
    table("calibration/intrinsics.feather", [{"sensor_name": name, **lens} for name in CAMERAS])
    for folder, suffix, shift in [
        ("lidar", "feather", 0), *((f"cameras/{name}", "jpg", delay) for name in CAMERAS)
    ]:  # fmt: skip
        (log / "sensors" / folder).mkdir(parents=True)
        for time in times:
            (log / "sensors" / folder / f"{time + shift}.{suffix}").touch()
    return log
