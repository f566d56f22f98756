from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapllava.datasets.transforms import LoadMultiViewImages, RandomLateralFlip
from mapllava.datasets.transforms.flip import counterpart_slots
from mapllava.errors import MapLLaVAError
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

FLIP = RandomLateralFlip(prob=1.0)
NAMES = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")


@pytest.fixture
def loaded(rig):
    return LoadMultiViewImages(size=(320, 180))(rig.results())


def snapshot(results):
    arrays = ("cam2img", "lidar2cam", "lidar2ego", "ego2global")
    return {
        **{key: results[key].copy() for key in arrays},
        "img": [img.copy() for img in results["img"]],
        "img_paths": list(results["img_paths"]),
        "polylines": list(results["polylines"]),
    }


def test_twice_is_the_identity(loaded):
    before = snapshot(loaded)
    once = FLIP(loaded)
    assert once["flip"] is True
    after = FLIP(once)
    assert after["flip"] is False
    assert after["polylines"] == before["polylines"]
    assert after["img_paths"] == before["img_paths"]
    for one, two in zip(before["img"], after["img"], strict=True):
        np.testing.assert_array_equal(one, two)
    for key in ("cam2img", "lidar2cam", "lidar2ego", "ego2global"):
        np.testing.assert_allclose(after[key], before[key], atol=1e-9)


def test_left_and_right_are_mirrored_and_forward_is_not(loaded):
    before = snapshot(loaded)
    after = FLIP(loaded)
    divider, crossing, boundary = (line.points for line in after["polylines"])
    np.testing.assert_array_equal(divider, [[-3, -20], [-3, 25]])
    assert crossing[:, 0].min() == 2
    assert crossing[:, 1].min() == 10
    np.testing.assert_array_equal(boundary, [[-8, -30], [-8, 0], [-11, 30]])
    right = NAMES.index("CAM_FRONT_RIGHT")
    left = NAMES.index("CAM_FRONT_LEFT")
    np.testing.assert_array_equal(after["img"][right], before["img"][left][:, ::-1])
    assert after["img_paths"][right] == before["img_paths"][left]
    assert after["cam_names"] == list(NAMES)
    np.testing.assert_array_equal(after["img"][0], before["img"][0][:, ::-1])
    forward_in_front_camera = after["lidar2cam"][0, 2, :3]
    assert forward_in_front_camera[1] > 0.9


def test_matrices_stay_proper(loaded):
    after = FLIP(loaded)
    for matrix in after["lidar2cam"]:
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
    assert (after["cam2img"][:, [0, 1], [0, 1]] > 0).all()
    assert np.linalg.det(after["lidar2ego"][:3, :3]) == pytest.approx(1.0)


def test_poses_take_mirrored_points_to_the_true_place(rig):
    results = rig.results(img=[np.zeros((9, 16, 3), np.uint8)] * 6)
    point = np.array([3.0, 20.0, -1.5, 1.0])
    true = results["ego2global"] @ results["lidar2ego"] @ point
    after = FLIP(results)
    mirrored = point * [-1, 1, 1, 1]
    np.testing.assert_allclose(after["ego2global"] @ after["lidar2ego"] @ mirrored, true, atol=1e-9)


def test_the_ego_frame_is_mirrored_along_y(rig):
    spec = MapSpec("ego", [-30, -15, 30, 15])
    results = rig.results(img=[np.zeros((9, 16, 3), np.uint8)] * 6, map_spec=spec)
    results["lidar2cam"] = results["lidar2cam"] @ np.linalg.inv(results["lidar2ego"])
    point = np.array([20.0, -3.0, 0.5, 1.0])
    pixel = results["cam2img"][0] @ (results["lidar2cam"][0] @ point)[:3]
    after = FLIP(results)
    np.testing.assert_array_equal(after["polylines"][0].points, [[3, 20], [3, -25]])
    mirrored = after["cam2img"][0] @ (after["lidar2cam"][0] @ (point * [1, -1, 1, 1]))[:3]
    assert mirrored[0] / mirrored[2] == pytest.approx(15 - pixel[0] / pixel[2])
    assert mirrored[1] / mirrored[2] == pytest.approx(pixel[1] / pixel[2])


def test_probability(loaded):
    np.random.seed(0)  # noqa: NPY002
    shares = [RandomLateralFlip(prob=0.3)(dict(loaded))["flip"] for _ in range(300)]
    assert 0.2 < np.mean(shares) < 0.4
    assert not RandomLateralFlip(prob=0.0)(dict(loaded))["flip"]


def test_what_cannot_be_mirrored_is_refused(loaded):
    lopsided = MapSpec("lidar", [-10, -30, 15, 30])
    with pytest.raises(MapLLaVAError, match=r"roi \[-10.0, -30.0, 15.0, 30.0\] is not symmetric along x"):
        FLIP({**loaded, "map_spec": lopsided})
    with pytest.raises(MapLLaVAError, match="not symmetric along y"):
        FLIP.check_map_spec(MapSpec("ego", [-30, -10, 30, 15]))
    FLIP.check_map_spec(MapSpec("ego", [-10, -15, 30, 15]))  # farther ahead than behind
    RandomLateralFlip(prob=0.0).check_map_spec(lopsided)
    some = {key: loaded[key][:2] for key in ("img", "cam2img", "lidar2cam")}
    with pytest.raises(MapLLaVAError, match="CAM_FRONT_RIGHT has no counterpart on the other side"):
        FLIP({**loaded, **some, "cam_names": ["CAM_FRONT", "CAM_FRONT_RIGHT"]})
    with pytest.raises(ValueError, match="prob"):
        RandomLateralFlip(prob=1.5)


def test_a_rig_that_cannot_be_mirrored_is_refused_at_once_and_not_by_chance(loaded):
    some = {key: loaded[key][:2] for key in ("img", "cam2img", "lidar2cam")}
    lopsided = {**loaded, **some, "cam_names": ["CAM_FRONT", "CAM_FRONT_RIGHT"]}
    for _ in range(5):
        with pytest.raises(MapLLaVAError, match="CAM_FRONT_RIGHT has no counterpart"):
            RandomLateralFlip(prob=1e-9)(dict(lopsided))
    assert not RandomLateralFlip(prob=0.0)(dict(lopsided))["flip"]


@pytest.mark.parametrize(
    "names", [[name.removeprefix("CAM_").lower() for name in NAMES], [f"camera {k}" for k in range(6)]]
)
def test_left_and_right_are_told_by_poses_not_by_names(loaded, names):
    expected = FLIP({**loaded})["img"]
    found = FLIP({**loaded, "cam_names": names})["img"]
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_stereo_pair_changes_places(loaded):
    pair = np.stack([loaded["lidar2cam"][0]] * 2)
    pair[:, 0, 3] = pair[0, 0, 3] + np.array([-0.6, 0.6])  # half a base line to either side
    images = [np.full((9, 16, 3), value, np.uint8) for value in (1, 2)]
    stereo = {"cam_names": ["a", "b"], "lidar2cam": pair, "cam2img": loaded["cam2img"][:2], "img": images}
    after = FLIP({**loaded, **stereo, "img_paths": ["a.jpg", "b.jpg"]})
    assert [image.mean() for image in after["img"]] == [2, 1]


@pytest.mark.parametrize(
    "mounted",  # yaw in degrees, metres to the right, of the cameras in the middle
    [
        [(0, 0), (0, 0)],
        [(0.3, 0), (0.1, 0)],
        [(0, 0.02), (0, 0.05)],
        [(0, 0.1), (0, -0.1)],
        [(0, 0.06), (0, -0.47)],
    ],
)
def test_cameras_near_the_middle_keep_their_slots(loaded, mounted):
    poses = []
    for yaw, right in mounted:
        turn = np.eye(4)
        turn[:3, :3] = cv2.Rodrigues(np.deg2rad([0.0, yaw, 0.0]))[0]
        turn[0, 3] = -right
        poses.append(turn @ loaded["lidar2cam"][0])
    assert counterpart_slots(["wide", "tele"], np.stack(poses), 0) == [0, 1]
    sides = np.concatenate([loaded["lidar2cam"], poses])
    assert counterpart_slots([*NAMES, "wide", "tele"], sides, 0)[1:6] == [2, 1, 3, 5, 4]


def test_a_directed_line_still_leads_ahead(rig):
    way = Polyline(0, np.array([[3.0, -20], [4, 25]]), directed=True)
    results = LoadMultiViewImages()(rig.results(polylines=[way]))
    (flipped,) = RandomLateralFlip(prob=1.0)(results)["polylines"]
    assert flipped.directed
    assert flipped.points.tolist() == [[-3, -20], [-4, 25]]
