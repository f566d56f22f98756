"""nuScenes' samples as a rig saw them are the samples of the cache; no map is needed."""

import json
import shutil

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.geometry.rig_checks import refuse_rig
from mapllava.sources.nuscenes.rig_samples import nuscenes_input
from mapllava.sources.nuscenes.tables import NuScenesTables

VERSION = "v1.0-mini"


@pytest.fixture(scope="module")
def tables_alone(city, tmp_path_factory):
    """The city's tables without its maps and images."""
    root = tmp_path_factory.mktemp("tables") / "city"
    shutil.copytree(city / VERSION, root / VERSION)
    return root


def test_a_scene_is_what_the_cache_holds(city, tables_alone):
    tables = NuScenesTables(city, VERSION)
    scene = json.loads((city / VERSION / "scene.json").read_text())[0]["name"]
    opened = nuscenes_input(tables_alone, scene=scene)
    samples, entries = list(opened), list(tables.entries(scene))
    assert len(opened) == len(samples) == len(entries) == 4
    for sample, entry in zip(samples, entries, strict=True):
        assert (sample.token, sample.timestamp, sample.scene) == (
            entry["sample_token"], entry["timestamp"], scene,
        )  # fmt: skip
        np.testing.assert_allclose(sample.ego2global, entry["ego2global"])
        assert [camera.name for camera in sample.rig.cameras] == list(entry["cams"])
        for camera, image in zip(sample.rig.cameras, sample.images, strict=True):
            cam = entry["cams"][camera.name]
            lidar2cam = np.linalg.inv(camera.cam2ego) @ sample.rig.lidar2ego
            np.testing.assert_allclose(lidar2cam, cam["lidar2cam"], atol=1e-9)
            np.testing.assert_allclose(camera.cam2img, cam["cam2img"])
            assert image == tables_alone / cam["img_path"]
            assert camera.size == (320, 180)
        refuse_rig(sample.rig)
        assert sample.crs is None  # the city lies nowhere
        assert sample.location == entry["location"]
    every_third = nuscenes_input(tables_alone, scene=scene, stride=3)
    assert len(every_third) == 2
    assert [sample.token for sample in every_third] == [samples[0].token, samples[3].token]


def test_one_sample_by_token(tables_alone):
    token = json.loads((tables_alone / VERSION / "sample.json").read_text())[5]["token"]
    opened = nuscenes_input(tables_alone, VERSION, sample=token)
    assert [sample.token for sample in opened] == [token]
    assert token in opened.source


def test_a_real_car_stands_somewhere_on_earth(tables_alone, tmp_path):
    root = shutil.copytree(tables_alone, tmp_path / "real")
    path = root / VERSION / "log.json"
    logs = json.loads(path.read_text())
    path.write_text(json.dumps([log | {"vehicle": "n015", "location": "boston-seaport"} for log in logs]))
    token = json.loads((root / VERSION / "sample.json").read_text())[0]["token"]
    (sample,) = nuscenes_input(root, sample=token)
    assert "+lat_0=42.33" in sample.crs


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sample": "nothing"}, "has the token 'nothing'"),
        ({"scene": "scene-9999"}, "scene 'scene-9999'|name or token 'scene-9999'"),
        ({}, "name the sample by its token"),
        ({"version": "v1.0-test", "scene": "a"}, "versions there: v1.0-mini"),
    ],
)
def test_what_is_not_there_is_named(tables_alone, asked, said):
    with pytest.raises(MapLLaVAError, match=said):
        nuscenes_input(tables_alone, **asked)


def test_damaged_tables_are_named(tables_alone, tmp_path):
    root = shutil.copytree(tables_alone, tmp_path / "bad")
    (root / VERSION / "ego_pose.json").write_text("[]")
    token = json.loads((root / VERSION / "sample.json").read_text())[0]["token"]
    with pytest.raises(MapLLaVAError, match="are damaged"):
        nuscenes_input(root, sample=token)
