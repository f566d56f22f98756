"""What is exported reads back as the same samples; a part of the cameras and other cars too."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapllava.datasets.rig_images import prepare_images
from mapllava.errors import MapLLaVAError
from mapllava.geometry.rig_checks import check_rig
from mapllava.sources.folder import open_input
from mapllava.sources.folder.export import export_folder
from mapllava.sources.nuscenes.rig_samples import nuscenes_input
from mapllava.structures.rig import RigInput
from mapllava.synthetic.other_rig import SEVEN_CAMERAS, city_sample
from mapllava.synthetic.scene import SceneKey

VERSION = "v1.0-mini"


@pytest.fixture(scope="module")
def scene(city):
    name = json.loads((city / VERSION / "scene.json").read_text())[0]["name"]
    return nuscenes_input(city, VERSION, scene=name)


def same(one, other):
    assert (one.token, one.scene, one.timestamp, one.crs) == (
        other.token,
        other.scene,
        other.timestamp,
        other.crs,
    )
    np.testing.assert_allclose(one.ego2global, other.ego2global, atol=1e-6)
    np.testing.assert_allclose(one.rig.lidar2ego, other.rig.lidar2ego, atol=1e-8)
    for a, b in zip(one.rig.cameras, other.rig.cameras, strict=True):
        assert (a.name, a.size, a.distortion) == (b.name, b.size, b.distortion)
        np.testing.assert_allclose(a.cam2ego, b.cam2ego, atol=1e-8)
        np.testing.assert_allclose(a.cam2img, b.cam2img)


def test_a_scene_reads_back_with_the_cars_motion_in_it(scene, tmp_path):
    out = export_folder(scene, tmp_path / "out")
    back = open_input(out)
    assert len(back) == len(scene) == 4
    for one, other in zip(scene, back, strict=True):
        same(one, other)
        for source, image in zip(one.images, other.images, strict=True):
            assert image.read_bytes() == source.read_bytes()
    assert "camera_poses" in json.loads((out / "frames.json").read_text())[1]


def test_four_cameras_in_another_order(scene, tmp_path):
    names = ["CAM_BACK", "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"]
    (first, *_) = open_input(export_folder(scene, tmp_path / "out", names))
    assert [camera.name for camera in first.rig.cameras] == names
    assert [path.stem for path in first.images] == names


def test_what_cannot_be_exported_is_named(scene, tmp_path):
    with pytest.raises(MapLLaVAError, match=r"ROOF.*CAM_FRONT"):
        export_folder(scene, tmp_path / "out", ["ROOF"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(MapLLaVAError, match="is not empty"):
        export_folder(scene, tmp_path / "full")


def test_seven_cameras_of_five_sizes_see_the_same_street(city, tmp_path):
    """Another car's front camera shows what the city's does where both look: warped by its pose, alike."""
    key = SceneKey("scene-0061", "train", 4, (320, 180), 0)
    sample = city_sample(key)
    assert [image.shape[1::-1] for image in sample.images] == [plan.size for plan in SEVEN_CAMERAS]
    opened = RigInput(sample.rig, "city", 1, lambda: iter([sample]))
    (back,) = open_input(export_folder(opened, tmp_path / "out"))
    same(sample, back)
    assert {finding.status for finding in check_rig(back.rig)} == {"ok"}
    wide, narrow = back.rig.cameras[:2]
    images = prepare_images(back, decode_all=True).images
    np.testing.assert_array_equal(images[0], sample.images[0])
    # both look ahead from nearly one place: far things differ by the turn alone
    turn = wide.cam2ego[:3, :3].T @ narrow.cam2ego[:3, :3]
    warp = wide.cam2img @ turn @ np.linalg.inv(narrow.cam2img)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    predicted = cv2.warpPerspective(images[0], warp, narrow.size, flags=flags)
    rows = slice(40, 150)
    smooth = [
        cv2.blur(image, (9, 9))[rows].astype(float).mean(axis=2).ravel() for image in (predicted, images[1])
    ]
    assert np.corrcoef(*smooth)[0, 1] > 0.8


def test_nothing_is_written_outside(scene, tmp_path):
    first, second, *_ = scene
    camera = replace(first.rig.cameras[0], name="../../../up")
    rig = replace(first.rig, cameras=(camera,))
    samples = [
        replace(sample, token=token, rig=rig, images=sample.images[:1])
        for sample, token in ((first, "../../../escaped"), (second, ".."))
    ]
    out = export_folder(RigInput(rig, "made", 2, lambda: iter(samples)), tmp_path / "a" / "b" / "out")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 4
    assert all(path.is_relative_to(out) for path in written)
    assert [sample.token for sample in open_input(out)] == ["../../../escaped", ".."]
