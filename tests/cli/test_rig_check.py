"""mapllava rig check: what it says, its exit status, its pictures; clouds of points over images."""

import cv2
import numpy as np
import pytest
from own_rig import good_rig, write_images, write_rig

from mapllava.__main__ import run_command
from mapllava.sources.folder.point_cloud import read_points


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_rig(tmp_path_factory.mktemp("rig") / "drive", good_rig())
    write_images(folder, good_rig())
    return folder


def test_a_good_rig_is_drawn(folder, tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "sweep.npy", rng.uniform([-20, -20, -2], [20, 20, 2], (2000, 3)))
    words = [str(folder), "--out", str(tmp_path / "out"), "--points", str(tmp_path / "sweep.npy")]
    assert run_command("rig check", words) == 0
    said = capsys.readouterr().out
    assert "front_left" in said
    assert "the rig is in order" in said
    pictures = {path.name: cv2.imread(str(path)) for path in (tmp_path / "out").iterdir()}
    assert sorted(pictures) == ["ground.png", "points.png", "rig.png"]
    assert (pictures["ground.png"] != pictures["points.png"]).any()


def test_a_fault_ends_with_1_and_its_remedy(tmp_path, capsys):
    rig = good_rig()
    for camera in rig["cameras"]:
        camera["vehicle_to_camera"] = camera.pop("camera_to_vehicle")
    assert run_command("rig check", [str(write_rig(tmp_path, rig)), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "fail  inverted: front" in said
    assert "write it under the other name" in said
    assert "1 failures, 0 warnings" in said
    assert (tmp_path / "out" / "rig.png").is_file()  # a wrong rig is what one wants to see drawn
    assert "no images are drawn" in said


def test_a_rig_that_cannot_be_read_ends_with_2(tmp_path, capsys):
    assert run_command("rig check", [str(tmp_path)]) == 2
    assert "rig.json' is missing" in capsys.readouterr().err


def missing(folder):
    (folder / "back.png").unlink()


def of_another_size(folder):
    cv2.imwrite(str(folder / "back.png"), np.zeros((90, 160, 3), np.uint8))


def exchanged(folder):
    rig = good_rig()
    rig["cameras"][0]["image"], rig["cameras"][3]["image"] = "back.png", "front.png"
    write_rig(folder, rig)


def with_a_bad_timestamp(folder):
    (folder / "pose.json").write_text('{"timestamp": "noon"}')


def without_its_heading(folder):
    write_rig(folder, good_rig() | {"origin": {"latitude": 1.3, "longitude": 103.8}})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing, "no file for back"),
        (of_another_size, "160 x 90 pixels and the rig says 320 x 180"),
        (exchanged, "bears the name of back"),
        (with_a_bad_timestamp, "timestamp"),
        (without_its_heading, "write origin.heading"),
    ],
)
def test_what_predict_refuses_fails(tmp_path, capsys, spoil, said):
    write_images(write_rig(tmp_path, good_rig()), good_rig())
    spoil(tmp_path)
    assert run_command("rig check", [str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "fail  images: " in told
    assert said in told
    assert ("pose.json'," in told) is (tmp_path / "pose.json").is_file()


def test_a_rig_alone_is_looked_at_alone(tmp_path, capsys):
    assert run_command("rig check", [str(write_rig(tmp_path, good_rig()))]) == 0
    assert "the numbers alone were looked at" in capsys.readouterr().out


def test_points_need_a_place_for_their_picture(folder, capsys):
    assert run_command("rig check", [str(folder), "--points", "sweep.npy"]) == 2
    assert "--out DIR" in capsys.readouterr().err
    assert run_command("rig check", [str(folder), "--points-frame", "lidar"]) == 2
    assert "--points FILE" in capsys.readouterr().err


def test_export_then_check(city, tmp_path, capsys):
    out = tmp_path / "example"
    words = [str(city), "--scene", "scene-0061", "--cameras", "CAM_FRONT", "CAM_BACK", "--out", str(out)]
    assert run_command("rig export", words) == 0
    assert run_command("rig check", [str(out)]) == 0
    assert "2 cameras, CAM_FRONT, CAM_BACK" in capsys.readouterr().out


POINTS = np.array([[1.5, -2.0, 0.25], [10.0, 3.0, -1.0]], np.float32)


@pytest.mark.parametrize("kind", [".pcd.bin", ".bin", ".npy", "ascii.ply", "binary.ply"])
def test_point_clouds_are_read(tmp_path, kind):
    path = tmp_path / f"cloud{kind}"
    header = "ply\nformat {} 1.0\nelement vertex 2\nproperty uchar red\nproperty float x\nproperty float y\n"
    header += "property float z\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    if kind == ".npy":
        np.save(path, POINTS)
    elif kind == "ascii.ply":
        rows = "".join(f"7 {x} {y} {z}\n" for x, y, z in POINTS)
        path.write_text(header.format("ascii") + rows)
    elif kind == "binary.ply":
        rows = b"".join(b"\x07" + point.tobytes() for point in POINTS)
        path.write_bytes(header.format("binary_little_endian").encode() + rows)
    else:
        path.write_bytes(np.pad(POINTS, ((0, 0), (0, 2 if kind == ".pcd.bin" else 1))).tobytes())
    np.testing.assert_allclose(read_points(path), POINTS)


def test_a_cloud_of_another_kind_is_refused(folder, tmp_path, capsys):
    (tmp_path / "a.pcd.bin").write_bytes(b"1234" * 7)
    words = [str(folder), "--out", str(tmp_path / "out"), "--points"]
    assert run_command("rig check", [*words, str(tmp_path / "a.pcd.bin")]) == 2
    assert "no multiple of 5" in capsys.readouterr().err
    assert run_command("rig check", [*words, str(tmp_path / "a.las")]) == 2
    assert "use .pcd.bin" in capsys.readouterr().err
