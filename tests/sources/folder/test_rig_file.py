"""Every way to write a camera gives the same camera; what is wrong is named with its remedy."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from own_rig import good_rig, write_rig

from mapllava.errors import MapLLaVAError
from mapllava.geometry.rig_checks import check_rig
from mapllava.geometry.rigid import to_quaternion
from mapllava.sources.folder.rig_file import read_rig_file
from mapllava.sources.folder.schema_check import SCHEMA, check_against_schema
from mapllava.synthetic.rig import quaternion


def read(folder, rig):
    return read_rig_file(write_rig(folder, rig))


def inverse(pose):
    return np.linalg.inv(np.array(pose))


def rvec(pose):
    return cv2.Rodrigues(np.array(pose)[:3, :3])[0]


def in_nuscenes_words(camera):
    pose = np.array(camera.pop("camera_to_vehicle"))
    camera.update(
        translation=pose[:3, 3].tolist(), rotation=quaternion(pose[:3, :3]), token="a", sensor_token="b"
    )
    fx, fy, cx, cy = (camera.pop(key) for key in ("fx", "fy", "cx", "cy"))
    camera["camera_intrinsic"] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


def in_opencv_words(camera):
    pose = inverse(camera.pop("camera_to_vehicle"))
    camera.update(tvec=pose[:3, 3:].tolist(), rvec=rvec(pose).tolist(), dist_coeffs=[[0, 0, 0, 0, 0]])
    fx, fy, cx, cy = (camera.pop(key) for key in ("fx", "fy", "cx", "cy"))
    camera["camera_matrix"] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


def as_vehicle_to_camera(camera):
    camera["vehicle_to_camera"] = inverse(camera.pop("camera_to_vehicle")).tolist()


def as_parts(camera):
    pose = np.array(camera["camera_to_vehicle"])
    camera["camera_to_vehicle"] = {"rotation": pose[:3, :3].tolist(), "translation": pose[:3, 3].tolist()}


def as_quaternion(camera):
    pose = inverse(camera.pop("camera_to_vehicle"))
    camera["vehicle_to_camera"] = {
        "rotation": to_quaternion(pose[:3, :3]),
        "translation": pose[:3, 3].tolist(),
    }


def as_rotation_vector(camera):
    pose = np.array(camera["camera_to_vehicle"])
    camera["camera_to_vehicle"] = {"rvec": rvec(pose)[:, 0].tolist(), "tvec": pose[:3, 3].tolist()}


FORMS = [
    in_nuscenes_words,
    in_opencv_words,
    as_vehicle_to_camera,
    as_parts,
    as_quaternion,
    as_rotation_vector,
]


@pytest.mark.parametrize("written", FORMS, ids=lambda form: form.__name__)
def test_every_form_is_the_same_camera(tmp_path, written):
    plain, other = good_rig(), good_rig()
    for camera in other["cameras"]:
        written(camera)
    expected, found = read(tmp_path / "a", plain).rig, read(tmp_path / "b", other).rig
    for one, two in zip(expected.cameras, found.cameras, strict=True):
        np.testing.assert_allclose(two.cam2ego, one.cam2ego, atol=1e-9)
        np.testing.assert_allclose(two.cam2img, one.cam2img)
        assert (two.name, two.size, two.distortion) == (one.name, one.size, None)


def test_opencv_projects_where_the_rig_does(tmp_path):
    rig = good_rig()
    in_opencv_words(rig["cameras"][0])
    words = rig["cameras"][0]
    camera = read(tmp_path, rig).rig.cameras[0]
    ahead = np.array([[12.0, 1.0, 0.0], [20.0, -3.0, 0.5]])
    expected, _ = cv2.projectPoints(
        ahead, np.array(words["rvec"]), np.array(words["tvec"]), np.array(words["camera_matrix"]), None
    )
    seen = (np.linalg.inv(camera.cam2ego) @ np.c_[ahead, [1, 1]].T)[:3]
    pixels = camera.cam2img @ seen
    np.testing.assert_allclose((pixels[:2] / pixels[2]).T, expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("axes", "turn"),
    [
        ("right-forward-up", [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        ("forward-right-down", [[1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    ],
)
def test_vehicle_axes_and_the_ground_below_the_origin(tmp_path, axes, turn):
    """The same car, its poses counted from 0.3 m above the ground in other axes."""
    plain, other = good_rig(), good_rig()
    to_other = np.eye(4)
    to_other[:3, :3] = turn
    raised = np.eye(4)
    raised[2, 3] = -0.3
    for camera in other["cameras"]:
        camera["camera_to_vehicle"] = (to_other @ raised @ camera["camera_to_vehicle"]).tolist()
    other["lidar_to_vehicle"] = (to_other @ raised @ other["lidar_to_vehicle"]).tolist()
    other.update(vehicle_axes=axes, ground_height=-0.3)
    expected, found = read(tmp_path / "a", plain), read(tmp_path / "b", other)
    for one, two in zip(expected.rig.cameras, found.rig.cameras, strict=True):
        np.testing.assert_allclose(two.cam2ego, one.cam2ego, atol=1e-9)
    np.testing.assert_allclose(found.rig.lidar2ego, expected.rig.lidar2ego, atol=1e-9)
    pose = np.eye(4)
    pose[:3, 3] = 100, 50, 0
    to_world = found.ego2global((pose @ np.linalg.inv(to_other)).tolist(), "here")
    np.testing.assert_allclose(to_world, pose @ raised, atol=1e-9)


def test_a_rotation_with_four_decimals_is_made_one(tmp_path):
    rig = good_rig()
    for camera in rig["cameras"]:
        camera["camera_to_vehicle"] = np.round(camera["camera_to_vehicle"], 4).tolist()
    turn = read(tmp_path, rig).rig.cameras[1].cam2ego[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_origin_gives_metres_east_and_north(tmp_path):
    from pyproj import Transformer

    rig = good_rig() | {"origin": {"latitude": 1.3, "longitude": 103.8, "heading": 30.0}}
    file = read(tmp_path, rig)
    place = file.ego2global(None, "here") @ [100.0, 0, 0, 1]
    longitude, latitude = Transformer.from_crs(file.crs, "EPSG:4326", always_xy=True).transform(*place[:2])
    north, east = (latitude - 1.3) * 110_574, (longitude - 103.8) * 111_320 * np.cos(np.radians(1.3))
    assert north == pytest.approx(100 * np.cos(np.radians(30)), abs=0.1)
    assert east == pytest.approx(100 * np.sin(np.radians(30)), abs=0.1)


@pytest.mark.parametrize("axes", ["forward-left-up", "right-forward-up", "forward-right-down"])
def test_a_car_without_a_pose_looks_to_the_heading(tmp_path, axes):
    north = {"latitude": 48.0, "longitude": 11.0, "heading": 0.0}
    rig = good_rig() | {"origin": north, "vehicle_axes": axes, "ground_height": -0.3}
    ego2global = read(tmp_path, rig).ego2global(None, "here")
    np.testing.assert_allclose(ego2global[:3, [0, 2]].T, [[0, 1, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(ego2global[:3, 3], 0, atol=1e-12)


SIN, COS = np.sin(np.radians(15)), np.cos(np.radians(15))
NO_CARS = {
    "mirrored": ([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "mirrors"),
    "x, y, z, w": ({"rotation": [0, 0, SIN, COS], "translation": [1, 2, 0]}, "w, x, y, z"),
    "on its roof": (np.diag([1, -1, -1, 1]).tolist(), "180 degrees"),
}


@pytest.mark.parametrize("pose", NO_CARS)
def test_a_car_stands_on_its_wheels(tmp_path, pose):
    written, said = NO_CARS[pose]
    with pytest.raises(MapLLaVAError, match=said):
        read(tmp_path, good_rig()).ego2global(written, "'pose.json', vehicle_to_world")


def test_rounding_in_last_rows_is_taken_away(tmp_path):
    """The results file wants them exactly: what is predicted must be readable."""
    rig = good_rig()
    in_opencv_words(rig["cameras"][0])
    rig["cameras"][0]["camera_matrix"][2] = [0, 0, 1.000001]
    rig["cameras"][1]["camera_to_vehicle"][3] = rig["lidar_to_vehicle"][3] = [0, 0, 0, 0.9999999999]
    file = read(tmp_path, rig)
    pose = np.eye(4)
    pose[3, 3] = 0.9999999999
    matrices = [file.rig.lidar2ego, file.ego2global(pose.tolist(), "here")]
    matrices += [matrix for camera in file.rig.cameras for matrix in (camera.cam2ego, camera.cam2img)]
    assert all(matrix[-1].tolist() == [0] * (len(matrix) - 1) + [1] for matrix in matrices)


def change(**changes):
    return lambda rig: rig["cameras"][2].update(changes)


def without(*keys):
    return lambda rig: [rig["cameras"][2].pop(key) for key in keys]


BROKEN = {
    "unknown key": (change(hight=3), ["cameras[2] (front_left)", "'hight'", "did you mean height"]),
    "misspelt width": (
        lambda rig: rig["cameras"][2].update(widht=rig["cameras"][2].pop("width")),
        ["'widht'", "did you mean width"],
    ),
    "a huge width": (change(width=10**400), ["cameras[2] (front_left).width"]),
    "no pose": (without("camera_to_vehicle"), ["front_left", "none is given", "its direction named"]),
    "two poses": (
        change(vehicle_to_camera=np.eye(4).tolist()),
        ["camera_to_vehicle as well as vehicle_to_camera", "once"],
    ),
    "two intrinsics": (change(camera_matrix=np.eye(3).tolist()), ["as well as camera_matrix", "once"]),
    "no width": (without("width"), ["front_left", "'width' is missing"]),
    "half a pose": (change(tvec=[0, 0, 1]), ["rvec"]),
    "width of 0": (change(width=0), ["cameras[2] (front_left).width", "0", "pixels"]),
    "3 x 4": (
        change(camera_to_vehicle=np.eye(4)[:3].tolist()), [".camera_to_vehicle", "4 x 4 matrix as four rows"],
    ),
    "no unit quaternion": (
        change(camera_to_vehicle={"rotation": [1, 1, 0, 0], "translation": [0, 0, 1]}),
        ["front_left", "length 1.414"],
    ),
    "coefficients": (
        change(distortion={"model": "fisheye", "coefficients": [0.1, 0.2]}), ["2 numbers", "fisheye takes 4"],
    ),
    "model": (change(distortion={"model": "x"}), [".distortion.model", "['none', 'opencv', 'fisheye']"]),
    "two names": (change(name="front"), ["two cameras are named front"]),
    "singular": (
        lambda rig: rig["cameras"][2].update(vehicle_to_camera=np.zeros((4, 4)).tolist())
        or rig["cameras"][2].pop("camera_to_vehicle"),
        ["front_left", "vehicle_to_camera has no inverse"],
    ),
    "not finite": (change(fx=float("nan")), ["cameras[2] (front_left).fx", "no finite number"]),
    "no cameras": (lambda rig: rig.update(cameras=[]), ["cameras", "at least one"]),
    "crs": (lambda rig: rig.update(crs="EPSG:0"), ["crs", "EPSG:32632"]),
    "degrees": (lambda rig: rig.update(crs="EPSG:4326"), ["crs", "no plane", "metres"]),
    "crs and origin": (
        lambda rig: rig.update(crs="EPSG:32632", origin={"latitude": 1, "longitude": 2}), ["crs and origin"],
    ),
    "latitude": (lambda rig: rig.update(origin={"latitude": 103, "longitude": 1}), ["origin.latitude", "90"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_named(tmp_path, name):
    spoil, said = BROKEN[name]
    rig = good_rig()
    spoil(rig)
    with pytest.raises(MapLLaVAError) as error:
        read(tmp_path, rig)
    text = str(error.value)
    assert "rig.json" in text
    assert not [words for words in said if words not in text], text


def test_a_transposed_camera_matrix_is_named(tmp_path):
    rig = good_rig()
    in_opencv_words(rig["cameras"][0])
    rig["cameras"][0]["camera_matrix"] = np.array(rig["cameras"][0]["camera_matrix"]).T.tolist()
    with pytest.raises(MapLLaVAError, match="camera_matrix is transposed"):
        read(tmp_path, rig)


def test_the_examples_of_the_documents_are_read(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "en" / "own_cameras.md").read_text(encoding="utf-8")
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    rigs = [example for example in examples if "cameras" in example]
    assert len(rigs) >= 2
    for number, rig in enumerate(rigs):
        found = read(tmp_path / str(number), rig)
        assert {finding.status for finding in check_rig(found.rig)} <= {"ok", "warn"}
    for example in examples:
        if isinstance(example, list):
            check_against_schema(example, tmp_path / "frames.json", "frames")


def test_the_schema_is_one():
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))
