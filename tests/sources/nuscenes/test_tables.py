from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes.tables import CAMERAS, NuScenesTables, invert, transform


@pytest.fixture
def tables(tiny):
    return NuScenesTables(tiny, "v1.0-mini")


def edit(path, change):
    records = json.loads(path.read_text())
    path.write_text(json.dumps(change(records)))


def test_scenes_keep_the_order_asked_for_and_absent_ones_are_left_out(tables):
    assert tables.present(["scene-0553", "scene-9999", "scene-0061"]) == ["scene-0553", "scene-0061"]
    with pytest.raises(MapLLaVAError, match=r"none of the split's 1 scenes"):
        tables.present(["scene-9999"])


def test_key_frames_come_in_time_order(tables):
    entries = list(tables.entries("scene-0061"))
    assert [entry["sample_token"] for entry in entries] == [f"scene-0061-sample-{k}" for k in range(3)]
    assert [entry["timestamp"] - entries[0]["timestamp"] for entry in entries] == [0, 500_000, 1_000_000]
    first = entries[0]
    assert (first["scene_name"], first["scene_token"], first["location"]) == (
        "scene-0061",
        "scene-0061-token",
        "boston-seaport",
    )
    assert tuple(first["cams"]) == CAMERAS
    assert first["cams"]["CAM_BACK"]["img_path"] == "samples/CAM_BACK/scene-0061-sample-0-CAM_BACK.jpg"


def test_poses_by_hand(tables):
    """A point 4 m ahead and 1 m right of the LiDAR: ego (5, -1), world (101, 215) at the third frame."""
    entry = list(tables.entries("scene-0103"))[2]
    point = np.array([1.0, 4.0, 0.0, 1.0])
    np.testing.assert_allclose(entry["lidar2ego"] @ point, [5, -1, 1.8, 1], atol=1e-12)
    np.testing.assert_allclose(
        entry["ego2global"] @ entry["lidar2ego"] @ point, [101, 215, 1.8, 1], atol=1e-12
    )


def test_ego_motion_between_lidar_and_camera_is_in_lidar2cam(tables):
    """Ego x of the point is 5 m, less 0.5 m driven until the shot, less the camera's 1.5 m: depth 3 m."""
    camera = next(tables.entries("scene-0061"))["cams"]["CAM_FRONT"]
    seen = camera["lidar2cam"] @ np.array([1.0, 4.0, 0.0, 1.0])
    np.testing.assert_allclose(seen, [1.0, -0.3, 3.0, 1], atol=1e-12)
    pixel = camera["cam2img"] @ seen[:3]
    np.testing.assert_allclose(pixel[:2] / pixel[2], [800 + 1000 / 3, 450 - 100], atol=1e-9)
    assert camera["timestamp"] == 1_500_000_000_050_000


def test_inverse_of_a_rigid_transform():
    matrix = transform({"rotation": [0.6, 0.8, 0, 0], "translation": [1, 2, 3]})
    np.testing.assert_allclose(invert(matrix) @ matrix, np.eye(4), atol=1e-12)


def test_missing_camera_is_named(tiny):
    def drop(records):
        return [r for r in records if r["token"] != "scene-0061-sample-1-CAM_BACK"]

    edit(tiny / "v1.0-mini" / "sample_data.json", drop)
    with pytest.raises(MapLLaVAError, match=r"scene-0061-sample-1 of scene-0061.*no CAM_BACK"):
        list(NuScenesTables(tiny, "v1.0-mini").entries("scene-0061"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: shutil.rmtree(root), "--dataroot"),
        (lambda root: (root / "v1.0-mini").rename(root / "v1.0-test"), r"versions there: v1\.0-test"),
        (lambda root: (root / "v1.0-mini" / "log.json").unlink(), r"lacks log\.json"),
        (lambda root: shutil.rmtree(root / "maps" / "expansion"), "Map expansion"),
        (lambda root: (root / "maps" / "none.png").unlink(), r"none\.png does not exist.*Unpack"),
        (lambda root: (root / "v1.0-mini" / "sample.json").write_text("[{"), "are damaged"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(tiny, damage, words):
    damage(tiny)
    with pytest.raises(MapLLaVAError, match=words):
        NuScenesTables(tiny, "v1.0-mini")


def change(table, of, **values):
    """Damage: other values in the record of a token."""

    def damage(root):
        edit(
            root / "v1.0-mini" / f"{table}.json",
            lambda records: [{**r, **(values if r["token"] == of else {})} for r in records],
        )

    return damage


def repeat(table):
    return lambda root: edit(root / "v1.0-mini" / f"{table}.json", lambda records: [*records, records[0]])


SECOND, THIRD = "scene-0061-sample-1", "scene-0061-sample-2"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change("sample", SECOND, next="gone"), r"sample\.json.*'gone', which scene scene-0061 names"),
        (change("sample", SECOND, next=""), r"scene-0061 ends after 2 of its 3 samples"),
        (change("sample", SECOND, next="scene-0553-sample-2"), "of another scene"),
        (change("sample", SECOND, next=SECOND), "prev of sample scene-0061-sample-1"),
        (change("sample", THIRD, next="scene-0061-sample-0"), "does not end with its last of 3"),
        (change("sample", THIRD, prev=""), "prev of sample scene-0061-sample-2"),
        (change("sample", THIRD, timestamp=0), "scene-0061-sample-2 of scene scene-0061 is not later"),
        (change("scene", "scene-0061-token", nbr_samples=2), "does not end with its last of 2 samples"),
        (change("scene", "scene-0061-token", nbr_samples=0), "does not end with its last of 0 samples"),
        (change("scene", "scene-0061-token", nbr_samples=None), "are damaged"),
        (change("scene", "scene-0061-token", last_sample_token=SECOND), "does not end with its last"),
        (change("scene", "scene-0061-token", first_sample_token=SECOND), "prev of sample"),
        (change("scene", "scene-0061-token", log_token="gone"), r"log\.json.*'gone'"),
        (change("scene", "scene-0061-token", name="scene-0553"), r"scene\.json: two scenes have one name"),
        (
            change("ego_pose", f"pose-{SECOND}-LIDAR_TOP", token="else"),
            r"ego_pose\.json.*sample_data scene-0061",
        ),
        (change("ego_pose", f"pose-{SECOND}-CAM_BACK", translation=[0, float("nan"), 0]), "translation is"),
        (change("ego_pose", f"pose-{SECOND}-CAM_BACK", translation=None), "translation is None"),
        (change("ego_pose", f"pose-{SECOND}-CAM_BACK", rotation=[0, 0, 0, 0]), "quaternion of length 1"),
        (change("calibrated_sensor", "calib-CAM_BACK", rotation=[9, 0, 0, 0]), "quaternion of length 1"),
        (change("calibrated_sensor", "calib-CAM_BACK", camera_intrinsic=[]), "not a camera's 3 x 3"),
        (change("calibrated_sensor", "calib-CAM_BACK", camera_intrinsic=[[0.0] * 3] * 3), "calib-CAM_BACK"),
        (change("sample_data", f"{SECOND}-CAM_BACK", filename="../up.jpg"), "not a path below the data root"),
        (change("sample_data", f"{SECOND}-CAM_BACK", filename="/dev/zero"), "not a path below the data root"),
        (repeat("ego_pose"), r"ego_pose\.json: two records have one token"),
        (repeat("sample"), r"sample\.json: two records have one token"),
    ],
)
def test_a_broken_record_is_named(tiny, damage, words):
    damage(tiny)
    with pytest.raises(MapLLaVAError, match=words):
        list(NuScenesTables(tiny, "v1.0-mini").entries("scene-0061"))
