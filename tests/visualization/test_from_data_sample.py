from pathlib import Path

import numpy as np
import torch

from mapllava.structures import MapDataSample
from mapllava.visualization.from_data_sample import camera_views, ground_truth_lines, predicted_lines

NETWORK = torch.full((6, 3, 112, 200), 7, dtype=torch.uint8)


def test_stored_images_come_with_their_own_calibration(data_sample):
    views = camera_views(data_sample.metainfo, NETWORK)
    assert [view.name for view in views] == data_sample.cam_names
    assert views[2].image.shape == (225, 400, 3)
    assert views[2].image[0, 0].tolist() == [100, 100, 100]
    np.testing.assert_allclose(views[0].lidar2img @ [0, 10, 0, 1], [1995, 1120, 10, 1])


def shows_the_network_images(sample):
    views = camera_views(sample.metainfo, NETWORK)
    np.testing.assert_allclose(views[0].lidar2img @ [0, 10, 0, 1], [995, 555, 10, 1])
    return views[0].image.shape == (112, 200, 3) and views[0].image.max() == 7


def test_networks_images_stand_in_when_a_file_is_gone(data_sample):
    Path(data_sample.img_paths[3]).unlink()
    assert shows_the_network_images(data_sample)
    assert camera_views(data_sample.metainfo) == []


def test_networks_images_stand_in_after_a_flip(data_sample):
    data_sample.set_metainfo({"flip": True})
    assert shows_the_network_images(data_sample)


def test_networks_images_stand_in_without_the_stored_calibration(data_sample):
    data_sample.set_metainfo({"ori_cam2img": None})
    assert shows_the_network_images(data_sample)


def test_lines(data_sample):
    truth, prediction = ground_truth_lines(data_sample), predicted_lines(data_sample)
    assert truth.scores is None
    assert truth.labels.tolist() == [0]
    assert prediction.above(0.3).labels.tolist() == [2]
    assert prediction.points[0].shape == (20, 2)
    assert ground_truth_lines(MapDataSample()) is None
    assert predicted_lines(MapDataSample()) is None
