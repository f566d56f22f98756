"""An undistorted image shows every point where the pinhole says, by OpenCV's own projection."""

import cv2
import numpy as np
import pytest

from mapllava.geometry.lens import folded_share, pinhole, undistort
from mapllava.structures.rig import Distortion, RigCamera

K = np.array([[260.0, 0, 163], [0, 255, 88], [0, 0, 1]])
LENSES = {
    "opencv": Distortion("opencv", (-0.28, 0.09, 0.002, -0.001, -0.01)),
    "opencv8": Distortion("opencv", (0.1, 0.02, 0.001, 0.001, 0.003, 0.4, 0.05, 0.002)),
    "fisheye": Distortion("fisheye", (-0.02, 0.01, -0.004, 0.001)),
}


def camera(lens):
    return RigCamera("front", (320, 180), K, np.eye(4), lens)


def project(points, lens):
    """Where the lens puts points of the camera's frame in the stored image."""
    numbers, still = np.array(lens.coefficients), np.zeros(3)
    if lens.model == "fisheye":
        return cv2.fisheye.projectPoints(points[None], still, still, K, numbers)[0][0]
    return cv2.projectPoints(points, still, still, K, numbers)[0][:, 0]


@pytest.mark.parametrize("name", LENSES)
def test_points_fall_where_the_pinhole_says(name):
    lens = LENSES[name]
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(-4, 4, 12), rng.uniform(-2, 2, 12), rng.uniform(8, 9, 12)]
    flat = pinhole(camera(lens))
    assert flat.distortion is None
    for point in points:
        u, v = project(point[None], lens)[0]
        rows, columns = np.mgrid[:180, :320]
        spot = 250 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 18)
        image = np.repeat(spot[..., None].astype(np.uint8), 3, axis=2)
        seen = undistort(image, camera(lens))[..., 0].astype(float)
        found = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum()
        ideal = flat.cam2img @ point
        np.testing.assert_allclose(found, ideal[:2] / ideal[2], atol=0.25)


def test_a_lens_that_folds_shows_no_second_copy():
    lens = Distortion("opencv", (-0.9, 0.0, 0.0, 0.0))
    assert 0.05 < folded_share(camera(lens)) < 0.6
    bright = undistort(np.full((180, 320, 3), 200, np.uint8), camera(lens))
    assert bright[88, 163, 0] == 200
    assert bright[0, 0, 0] == 0
    assert folded_share(camera(LENSES["opencv"])) == 0


def test_a_pinhole_is_left_alone():
    image = np.zeros((180, 320, 3), np.uint8)
    assert undistort(image, camera(None)) is image
