"""Real calibrations of nuScenes and Argoverse 2 through one model: the package's.

The data are under licences that keep them out of here. With them, run

    MAPLLAVA_NUSCENES_SAMPLE=FOLDER MAPLLAVA_AV2_LOGS=LOGS pytest tests/apis/test_real_rigs.py

``FOLDER`` holds a sample's six images and a pickle of MMDetection3D's infos (``data_list[0]`` with ``images``
and ``lidar_points``); ``LOGS`` a log with the calibration of its cameras and the car's poses.
"""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import mapllava
from mapllava.apis import demo_files
from mapllava.sources.argoverse2 import sensor_log

SAMPLE, LOGS = (os.environ.get(f"MAPLLAVA_{name}", "") for name in ("NUSCENES_SAMPLE", "AV2_LOGS"))
pytestmark = pytest.mark.skipif(
    not (SAMPLE and LOGS),
    reason="needs real data: MAPLLAVA_NUSCENES_SAMPLE=FOLDER MAPLLAVA_AV2_LOGS=LOGS pytest …",
)


def of_nuscenes(root):
    """Image paths, intrinsics, extrinsics and the LiDAR's pose of a sample."""
    (info,) = Path(SAMPLE).glob("*.pkl")
    entry = pickle.loads(info.read_bytes())["data_list"][0]
    cameras = list(entry["images"].values())
    paths = [Path(SAMPLE) / Path(camera["img_path"]).name for camera in cameras]
    matrices = [[np.array(camera[key]) for camera in cameras] for key in ("cam2img", "lidar2cam")]
    return paths, *matrices, np.array(entry["lidar_points"]["lidar2ego"])


def of_argoverse2(root):
    """The same of a log, with noise for images, which are no part of what is tested."""
    pd = pytest.importorskip("pandas")
    calibrated = next(path for path in sorted(Path(LOGS).iterdir()) if (path / "calibration").is_dir())
    log = root / "val" / calibrated.name
    shutil.copytree(calibrated, log)
    moment = int(pd.read_feather(log / "city_SE3_egovehicle.feather")["timestamp_ns"].iloc[10])
    sizes = pd.read_feather(log / "calibration" / "intrinsics.feather").set_index("sensor_name")
    rng = np.random.default_rng(0)
    for name in sensor_log.CAMERAS:
        path = log / "sensors" / "cameras" / name / f"{moment}.jpg"
        path.parent.mkdir(parents=True)
        shape = (int(sizes.height_px[name]), int(sizes.width_px[name]), 3)
        assert cv2.imwrite(str(path), rng.integers(0, 255, shape, dtype=np.uint8))
    sweep = log / "sensors" / "lidar" / f"{moment}.feather"
    sweep.parent.mkdir()
    sweep.touch()
    (entry,) = sensor_log.SensorLog(log, root).entries()
    cameras = list(entry["cams"].values())
    paths = [root / camera["img_path"] for camera in cameras]
    return (
        paths,
        *([camera[key] for camera in cameras] for key in ("cam2img", "lidar2cam")),
        entry["lidar2ego"],
    )


@pytest.mark.parametrize(("source", "count"), [(of_nuscenes, 6), (of_argoverse2, 7)])
def test_the_ground_is_where_the_model_looks_and_a_map_comes_out(source, count, tmp_path):
    predictor = mapllava.load_model(demo_files.model_file())
    paths, cam2img, lidar2cam, lidar2ego = source(tmp_path)
    assert len(paths) == count
    ground = (
        predictor.model.neck.heights["ground"]["lidar"] if hasattr(predictor.model.neck, "heights") else -1.84
    )
    assert lidar2ego[2, 3] == pytest.approx(-ground, abs=0.3)
    seen = np.zeros(
        4, dtype=bool
    )  # 10 m ahead, behind, left and right on the ground, by one camera or another
    spots = np.array([[0, 10, ground, 1], [0, -10, ground, 1], [-10, 0, ground, 1], [10, 0, ground, 1.0]])
    for path, lens, pose in zip(paths, cam2img, lidar2cam, strict=True):
        height, width = cv2.imread(str(path)).shape[:2]
        x, y, depth = np.array(lens)[:3, :3] @ (np.array(pose) @ spots.T)[:3]
        seen |= (depth > 0) & (x / depth >= 0) & (x / depth < width) & (y / depth >= 0) & (y / depth < height)
    assert seen.all()
    lines = predictor.predict(paths, np.stack(cam2img)[:, :3, :3], np.stack(lidar2cam))
    points = np.concatenate(lines.points)
    assert np.isfinite(points).all()
    assert len(lines.points) == predictor.model.head.max_predictions
    x_min, y_min, x_max, y_max = predictor.map_spec.roi.to_list()
    assert ((points >= [x_min - 1, y_min - 1]) & (points <= [x_max + 1, y_max + 1])).all()
