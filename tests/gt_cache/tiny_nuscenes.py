"""A nuScenes-format data set of a few kilobytes, every number of which can be checked by hand.

Three scenes of three key frames. In each the ego starts at (100, 200) heading along world +y and
drives 5 m between key frames; every camera fires 50 ms after the LiDAR, 0.5 m further on. The
LiDAR sits 1 m ahead of the ego's origin, its y axis forward. A road of x = 94..106 runs along +y
with a divider at x = 101 and a crossing at y = 210..213.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
SCENES = {"scene-0061": "boston-seaport", "scene-0553": "boston-seaport", "scene-0103": "singapore-onenorth"}
START = (100.0, 200.0)
QUARTER = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
"""Quarter turn to the left about z, as a quaternion."""
BACK_QUARTER = (math.sqrt(0.5), 0.0, 0.0, -math.sqrt(0.5))


def write(root: Path, version: str = "v1.0-mini") -> Path:
    """Write the data set below ``root`` and return ``root``."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in ("scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")
    }
    for channel in ("LIDAR_TOP", *CAMERAS):
        modality = "lidar" if channel == "LIDAR_TOP" else "camera"
        tables["sensor"].append({"token": f"sensor-{channel}", "channel": channel, "modality": modality})
        tables["calibrated_sensor"].append(_calibration(channel))
    for name, location in SCENES.items():
        _add_scene(tables, name, location)
    logs = [record["token"] for record in tables["log"]]
    empty = {name: [] for name in ("category", "attribute", "visibility", "instance", "sample_annotation")}
    maps = [{"token": "map", "log_tokens": logs, "category": "semantic_prior", "filename": "maps/none.png"}]
    folder = root / version
    folder.mkdir(parents=True)
    for table, records in {**tables, **empty, "map": maps}.items():
        (folder / f"{table}.json").write_text(json.dumps(records))
    expansion = root / "maps" / "expansion"
    expansion.mkdir(parents=True, exist_ok=True)
    (root / "maps" / "none.png").touch()
    for location in set(SCENES.values()):
        (expansion / f"{location}.json").write_text(json.dumps(map_expansion()))
    return root


def _calibration(channel: str) -> dict[str, Any]:
    lidar = channel == "LIDAR_TOP"
    return {
        "token": f"calib-{channel}",
        "sensor_token": f"sensor-{channel}",
        "translation": [1.0, 0.0, 1.8] if lidar else [1.5, 0.0, 1.5],
        "rotation": list(BACK_QUARTER) if lidar else [0.5, -0.5, 0.5, -0.5],
        "camera_intrinsic": [] if lidar else [[1000.0, 0, 800], [0, 1000.0, 450], [0, 0, 1]],
    }


def _add_scene(tables: dict[str, list[dict[str, Any]]], name: str, location: str) -> None:
    tokens = [f"{name}-sample-{k}" for k in range(3)]
    scene = {"token": f"{name}-token", "log_token": f"{name}-log", "nbr_samples": 3, "name": name}
    ends = {"first_sample_token": tokens[0], "last_sample_token": tokens[-1], "description": "tiny"}
    tables["scene"].append({**scene, **ends})
    log = {"token": f"{name}-log", "logfile": name, "vehicle": "n000", "date_captured": "2018-01-01"}
    tables["log"].append({**log, "location": location})
    for k, token in enumerate(tokens):
        time = 1_500_000_000_000_000 + 500_000 * k
        near = {"prev": tokens[k - 1] if k else "", "next": tokens[k + 1] if k < 2 else ""}
        tables["sample"].append({"token": token, "timestamp": time, "scene_token": f"{name}-token", **near})
        for channel in ("LIDAR_TOP", *CAMERAS):
            late = channel != "LIDAR_TOP"
            shot = f"{token}-{channel}"
            ahead = 5.0 * k + (0.5 if late else 0.0)
            pose = {"rotation": list(QUARTER), "translation": [START[0], START[1] + ahead, 0.0]}
            when = time + (50_000 if late else 0)
            tables["ego_pose"].append({"token": f"pose-{shot}", "timestamp": when, **pose})
            tables["sample_data"].append(
                {
                    "token": shot,
                    "sample_token": token,
                    "ego_pose_token": f"pose-{shot}",
                    "calibrated_sensor_token": f"calib-{channel}",
                    "timestamp": when,
                    "fileformat": "jpg",
                    "is_key_frame": True,
                    "height": 900,
                    "width": 1600,
                    "filename": f"samples/{channel}/{shot}.jpg",
                    "prev": "",
                    "next": "",
                }
            )


def map_expansion() -> dict[str, Any]:
    """The map, with one invalid polygon and one empty line, which must be skipped."""
    layers: dict[str, Any] = {
        name: []
        for name in (
            *(
                "polygon",
                "line",
                "node",
                "drivable_area",
                "road_segment",
                "road_block",
                "lane",
                "ped_crossing",
            ),
            *("walkway", "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light"),
            "lane_connector",
        )
    }

    def nodes(points: list[tuple[float, float]]) -> list[str]:
        start = len(layers["node"])
        layers["node"] += [{"token": f"n{start + i}", "x": x, "y": y} for i, (x, y) in enumerate(points)]
        return [f"n{start + i}" for i in range(len(points))]

    def polygon(layer: str, points: list[tuple[float, float]]) -> None:
        token = f"p{len(layers['polygon'])}"
        layers["polygon"].append({"token": token, "exterior_node_tokens": nodes(points), "holes": []})
        sides = (
            {"left_lane_divider_segments": [], "right_lane_divider_segments": []} if layer == "lane" else {}
        )
        layers[layer].append({"token": f"{layer}-{token}", "polygon_token": token, **sides})

    def line(layer: str, points: list[tuple[float, float]]) -> None:
        token = f"l{len(layers['line'])}"
        layers["line"].append({"token": token, "node_tokens": nodes(points)})
        segments = {f"{layer}_segments": []}
        layers[layer].append({"token": f"{layer}-{token}", "line_token": token, **segments})

    polygon("road_segment", [(94, 0), (106, 0), (106, 400), (94, 400)])
    polygon("lane", [(94, 0), (100, 0), (100, 400), (94, 400)])
    polygon("lane", [(80, 195), (90, 205), (90, 195), (80, 205)])
    polygon("ped_crossing", [(94, 210), (106, 210), (106, 213), (94, 213)])
    line("road_divider", [(101, 0), (101, 400)])
    line("lane_divider", [])
    return {"version": "1.3", "canvas_edge": [500, 500], "arcline_path_3": {}, "connectivity": {}, **layers}
