"""A good rig passes; each usual fault, made in it, is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_rig import good_rig, write_rig

from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, OK, WARN
from mapllava.geometry.rig_checks import check_rig, refuse_rig
from mapllava.geometry.rig_view import roi_ground
from mapllava.geometry.rigid import rigid, to_quaternion
from mapllava.sources.folder.rig_file import read_rig_file
from mapllava.structures.frames import ROI


def poses(change):
    """Changes every camera's pose, a (4, 4) camera to vehicle."""

    def spoil(rig):
        for camera in rig["cameras"]:
            camera["camera_to_vehicle"] = np.asarray(change(np.array(camera["camera_to_vehicle"]))).tolist()

    return spoil


def scaled(factor):
    def change(pose):
        pose[:3, 3] *= factor
        return pose

    return poses(change)


def direction_swapped(rig):
    for camera in rig["cameras"]:
        camera["vehicle_to_camera"] = camera.pop("camera_to_vehicle")


def one_direction_swapped(rig):
    camera = rig["cameras"][4]
    camera["vehicle_to_camera"] = camera.pop("camera_to_vehicle")


def xyzw(pose):
    w, x, y, z = to_quaternion(pose[:3, :3])
    return {"rotation": [x, y, z, w], "translation": pose[:3, 3].tolist()}


def quaternions_in_another_order(rig):
    for camera in rig["cameras"]:
        camera["camera_to_vehicle"] = xyzw(np.array(camera["camera_to_vehicle"]))


def shifted(height):
    return poses(lambda pose: rigid(np.eye(3), (0, 0, height)) @ pose)


def turned(axes):
    return poses(lambda pose: rigid(np.array(axes, float), (0, 0, 0)) @ pose)


def moved(number, axis, value):
    def spoil(rig):
        pose = np.array(rig["cameras"][number]["camera_to_vehicle"])
        if axis == "translation":
            pose[:3, 3] *= value
        else:
            pose[axis, 3] = value
        rig["cameras"][number]["camera_to_vehicle"] = pose.tolist()

    return spoil


LEVEL = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


def lidar(height=1.84, turn=LEVEL):
    return lambda rig: rig.update(lidar_to_vehicle=rigid(turn, (0.94, 0, height)).tolist())


def one_transposed(rig):
    pose = np.array(rig["cameras"][4]["camera_to_vehicle"])
    rig["cameras"][4]["camera_to_vehicle"] = rigid(pose[:3, :3].T, pose[:3, 3]).tolist()


def yawed(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return turned([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def with_rotation(change):
    return poses(lambda pose: rigid(change(pose[:3, :3]), pose[:3, 3]))


def intrinsics(factor, keys=("fx", "fy", "cx", "cy")):
    def spoil(rig):
        for camera in rig["cameras"]:
            camera.update({key: camera[key] * factor for key in keys})

    return spoil


def exchanged(one, other):
    def spoil(rig):
        first, second = rig["cameras"][one], rig["cameras"][other]
        key = "camera_to_vehicle"
        first[key], second[key] = second[key], first[key]

    return spoil


def of(number, **changes):
    return lambda rig: rig["cameras"][number].update(changes)


def copied(rig):
    key = "camera_to_vehicle"
    rig["cameras"][1] = {**rig["cameras"][0], "name": "second", key: rig["cameras"][0][key]}


def same_pose(rig):
    rig["cameras"][1].update(
        camera_to_vehicle=rig["cameras"][0]["camera_to_vehicle"], fx=400, fy=400, name="tele"
    )


def high(height):
    def spoil(rig):
        rig["cameras"][1]["camera_to_vehicle"][2][3] = height

    return spoil


def sky(pose):
    tilt = np.radians(40)
    up = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    return rigid(pose[:3, :3] @ up, pose[:3, 3])


def looking_away(rig):
    rig["cameras"] = rig["cameras"][:1]
    rig["cameras"][0].update(
        name="c", camera_to_vehicle=sky(np.array(rig["cameras"][0]["camera_to_vehicle"])).tolist()
    )


BODY_AXES = np.array([[0, -1.0, 0], [0, 0, -1], [1, 0, 0]])

FAULTS = {
    # what is done: (how, name of the finding, its status, words of its message)
    "not a rotation": (with_rotation(lambda r: 1.1 * r), "not a rotation", FAIL, "lengths [1.1, 1.1, 1.1]"),
    "left-handed": (with_rotation(lambda r: np.diag([1, -1, 1]) @ r), "left-handed", FAIL, "mirrors"),
    "transposed matrix": (poses(np.transpose), "transposed", FAIL, "last row"),
    "transposed rotation": (with_rotation(np.transpose), "transposed", FAIL, "rotation is transposed"),
    "inverted": (direction_swapped, "inverted", FAIL, "direction of the pose is swapped"),
    "one inverted": (one_direction_swapped, "inverted", FAIL, "back_left at"),
    "millimetres": (scaled(1000), "millimetres", FAIL, "these are millimetres"),
    "one in mm": (moved(3, "translation", 1000), "far from the car", FAIL, "translation of back alone"),
    "a typo": (moved(0, 0, 170.0), "far from the car", FAIL, "front is at (170.00"),
    "far ahead": (moved(0, 0, 17.0), "far from the car", WARN, "front is at (17.00"),
    "LiDAR in millimetres": (lidar(height=1840.0), "LiDAR", FAIL, "no car carries one there"),
    "LiDAR upside down": (lidar(turn=np.diag([1.0, -1, -1])), "LiDAR", WARN, "virtual LiDAR"),
    "one transposed": (one_transposed, "transposed", FAIL, "or that the direction of the pose is swapped"),
    "centimetres": (scaled(100), "centimetres", FAIL, "divide every translation by 100"),
    "identity": (of(3, camera_to_vehicle=np.eye(4).tolist()), "identity pose", FAIL, "back: the pose"),
    "body axes": (with_rotation(lambda r: r @ BODY_AXES), "camera axes", FAIL, "x forward, y left, z up"),
    "OpenGL axes": (with_rotation(lambda r: r @ np.diag([1, -1, -1])), "camera axes", FAIL, "OpenGL"),
    "quaternion order": (quaternions_in_another_order, "quaternion order", FAIL, "x, y, z, w"),
    "x right, y forward": (turned([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), "vehicle axes", FAIL, "every camera"),
    "turned by 20 degrees": (yawed(20), "vehicle axes", WARN, "+20°"),
    "turned by 50 degrees": (yawed(50), "vehicle axes", FAIL, "+50°"),
    "z down": (turned(np.diag([1, -1, -1])), "vehicle axes", FAIL, "z down"),
    "origin at the LiDAR": (shifted(-1.84), "origin not on the ground", FAIL, "ground_height"),
    "one under the ground": (high(-0.4), "under the ground", FAIL, "front_right"),
    "in the sky": (high(9.0), "height", WARN, "9.00 m above"),
    "looks at the sky": (looking_away, "looks at the sky", FAIL, "above the horizon"),
    "doubled intrinsics": (intrinsics(2), "scaled intrinsics", FAIL, "about 2 times the size"),
    "halved intrinsics": (intrinsics(0.5), "scaled intrinsics", FAIL, "times the size"),
    "focal length in mm": (intrinsics(0.02, ("fx", "fy")), "field of view", FAIL, "field of view of"),
    "doubled focal length": (intrinsics(2, ("fx", "fy")), "gaps", WARN, "of the horizon is in none"),
    "telephoto": (intrinsics(4, ("fx", "fy")), "field of view", WARN, "field of view of"),
    "cx and cy exchanged": (of(0, cx=97, cy=160), "principal point", WARN, "front: principal point"),
    "squeezed": (of(0, fy=120), "pixels not square", WARN, "differ by"),
    "swapped left and right": (exchanged(1, 2), "swapped", FAIL, "front_right looks forward left"),
    "swapped front and side": (exchanged(0, 2), "swapped", FAIL, "front looks forward left"),
    "swapped front and back": (exchanged(0, 3), "swapped", FAIL, "back forward"),
    "copied": (copied, "duplicate pose", FAIL, "front and second have the same pose and the same intrinsics"),
    "same pose": (same_pose, "duplicate pose", WARN, "same pose"),
    "folding lens": (of(0, dist_coeffs=[-2.0, 0, 0, 0]), "distortion", FAIL, "folds"),
    "front alone": (lambda rig: rig.update(cameras=rig["cameras"][:1]), "ROI", WARN, "0% behind"),
}  # fmt: skip


def findings(folder, rig):
    return check_rig(read_rig_file(write_rig(folder, rig)).rig)


def test_a_good_rig_passes(tmp_path):
    found = findings(tmp_path, good_rig())
    assert [(finding.name, finding.status) for finding in found] == [("ROI", OK)]
    assert "60x30 m" in found[0].reason
    refuse_rig(read_rig_file(tmp_path).rig)


@pytest.mark.parametrize("turn", [np.eye(3), np.diag([1.0, -1, -1])], ids=["x forward", "upside down"])
def test_the_roi_is_where_the_model_takes_it(turn):
    level = roi_ground(ROI.parse("60x30"), "lidar", None, 1.0)
    np.testing.assert_allclose(roi_ground(ROI.parse("60x30"), "lidar", rigid(turn, (2, 0, 3)), 1.0), level)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_remedy(tmp_path, fault):
    spoil, name, status, words = FAULTS[fault]
    rig = json.loads(json.dumps(good_rig()))
    spoil(rig)
    found = findings(tmp_path, rig)
    hits = [f for f in found if f.name == name and f.status == status and words in f.reason + f.remedy]
    assert hits, found
    assert all(finding.remedy for finding in hits)
    assert {f.name for f in found if f.status == FAIL} <= {name}
    if status == FAIL:
        with pytest.raises(MapLLaVAError, match=name):
            refuse_rig(read_rig_file(tmp_path).rig)
    else:
        refuse_rig(read_rig_file(tmp_path).rig)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_documents_table_has_every_finding(language):
    page = (Path(__file__).parents[2] / "docs" / language / "own_cameras.md").read_text(encoding="utf-8")
    assert not {name for _, name, _, _ in FAULTS.values() if f"| `{name}` |" not in page}


def test_a_rig_made_in_memory_has_exact_last_rows(tmp_path):
    """The results file wants them so; a rig file's are made so when it is read."""
    rig = read_rig_file(write_rig(tmp_path, good_rig())).rig
    pose = rig.cameras[0].cam2ego.copy()
    pose[3, 3] = 0.9999999999
    with pytest.raises(MapLLaVAError, match=r"last row of the pose is .*0.9999999999"):
        refuse_rig(replace(rig, cameras=(replace(rig.cameras[0], cam2ego=pose),)))
