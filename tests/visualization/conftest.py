import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from picture_rig import CAMERAS, SPEC, intrinsics, lidar2cam, lidar2ego

from mapllava.structures import MapDataSample
from mapllava.visualization import CameraView


@pytest.fixture
def data_sample(tmp_path):
    """A sample with grey images on disk (400 x 225) and network inputs of half that size."""
    paths = []
    for k, name in enumerate(CAMERAS):
        paths.append(str(tmp_path / f"{name}.png"))
        cv2.imwrite(paths[-1], np.full((225, 400, 3), 60 + 20 * k, dtype=np.uint8))
    matrices = np.stack([lidar2cam(yaw) for yaw in CAMERAS.values()])
    full, half = intrinsics(400, 225), intrinsics(200, 112)
    projection = np.tile(np.eye(4), (6, 1, 1))
    projection[:, :3, :3] = half
    line = np.array([[-3.0, -30.0], [-3.0, 30.0]])
    sample = MapDataSample(
        metainfo={
            "sample_idx": 0,
            "sample_token": "0123456789abcdef",
            "scene_name": "scene-0103",
            "split": "mini_val",
            "map_spec": SPEC,
            "lidar2ego": lidar2ego(),
            "cam_names": list(CAMERAS),
            "img_paths": paths,
            "ori_cam2img": np.tile(full, (6, 1, 1)),
            "lidar2cam": matrices,
            "lidar2img": projection @ matrices,
            "flip": False,
            "polylines": [{"label": 0, "points": line, "closed": False}],
        }
    )
    sample.pred_instances = InstanceData(
        points=torch.tensor(
            np.stack([np.linspace(*(line + x), 20) for x in ([1.0, 0.0], [8.0, 0.0])])
        ).float(),
        scores=torch.tensor([0.9, 0.1]),
        labels=torch.tensor([2, 1]),
    )
    return sample


@pytest.fixture(scope="session")
def parts():
    """Meta information, six grey cameras (400 x 225) and two lines along the road, 4 m to either side."""
    projection = np.eye(4)
    projection[:3, :3] = intrinsics(400, 225)
    views = [
        CameraView(name, np.full((225, 400, 3), 90, dtype=np.uint8), projection @ lidar2cam(yaw))
        for name, yaw in CAMERAS.items()
    ]
    meta = {
        "sample_token": "0123456789abcdef" * 2,
        "scene_name": "scene-0103",
        "location": "boston-seaport",
        "split": "mini_val",
        "map_spec": SPEC,
        "lidar2ego": lidar2ego(),
    }
    return meta, views, [np.array([[x, -30.0], [x, 30.0]]) for x in (-4.0, 4.0)]
