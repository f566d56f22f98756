"""Spoilt samples: what is spoilt, by how much, always alike; and cameras that training does without."""

from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import CORRUPTIONS, CameraDropout, CorruptMultiView
from mapllava.errors import MapLLaVAError


def sample(token="a"):
    """Six cameras that see stripes, which blur, JPEG and rain all change."""
    rows, columns = np.mgrid[:60, :192]
    stripes = np.where((rows // 6 + columns // 6) % 2, 170, 80).astype(np.uint8)
    poses = np.tile(np.eye(4), (6, 1, 1))
    return {
        "sample_token": token,
        "img": [np.stack([stripes, stripes // 2, stripes], axis=-1) for _ in range(6)],
        "lidar2cam": poses,
    }


def change(name, level, token="a"):
    """Mean absolute difference of grey levels, or of matrix entries, to the clean sample."""
    clean, spoilt = sample(token), CorruptMultiView(name, level)(sample(token))
    if name == "calibration":
        return float(np.abs(spoilt["lidar2cam"] - clean["lidar2cam"]).mean())
    pairs = zip(spoilt["img"], clean["img"], strict=True)
    return float(np.mean([np.abs(one.astype(float) - two).mean() for one, two in pairs]))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_level_is_worse_than_the_one_before(name):
    light, moderate, heavy = (change(name, level) for level in (1, 2, 3))
    assert 0 < light < moderate < heavy


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_sample_is_spoilt_alike_at_every_visit_and_another_otherwise(name):
    key = "lidar2cam" if name == "calibration" else "img"
    first, again, other = (CorruptMultiView(name, 2)(sample(token))[key] for token in ("a", "a", "bc"))
    np.testing.assert_array_equal(first, again)
    if name != "jpeg":  # it draws nothing
        assert not np.array_equal(first, other)
    assert np.asarray(first).shape == np.asarray(sample()[key]).shape
    assert np.asarray(first).dtype == np.asarray(sample()[key]).dtype


@pytest.mark.parametrize(("level", "count"), [(1, 1), (2, 2), (3, 3)])
def test_missing_cameras_are_black_and_the_others_as_they_were(level, count):
    spoilt, clean = CorruptMultiView("missing", level)(sample())["img"], sample()["img"]
    black = [not img.any() for img in spoilt]
    assert sum(black) == count
    for index in np.flatnonzero(~np.array(black)):
        np.testing.assert_array_equal(spoilt[index], clean[index])


def test_a_rig_that_would_see_nothing_is_refused():
    front = sample() | {"img": sample()["img"][:3]}
    CorruptMultiView("missing", 2)(dict(front))
    with pytest.raises(MapLLaVAError, match="a rig of 3 cameras cannot lose 3 of them"):
        CorruptMultiView("missing", 3)(dict(front))


def test_dark_keeps_a_share_of_the_light_and_blur_keeps_all():
    clean = np.mean(sample()["img"])
    assert np.mean(CorruptMultiView("dark", 2)(sample())["img"]) == pytest.approx(0.2 * clean, rel=0.05)
    assert np.mean(CorruptMultiView("blur", 2)(sample())["img"]) == pytest.approx(clean, rel=0.01)


def test_moved_cameras_stay_cameras():
    moved = CorruptMultiView("calibration", 3)(sample())["lidar2cam"]
    turns = moved[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (6, 1, 1)), atol=1e-12)
    angles = np.rad2deg(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    assert 0.3 < angles.mean() < 5
    assert np.abs(moved[:, :3, 3]).max() < 0.3
    np.testing.assert_array_equal(moved[:, 3], np.tile([0, 0, 0, 1], (6, 1)))


def test_the_clean_sample_is_left_alone():
    given = sample()
    kept = [img.copy() for img in given["img"]]
    CorruptMultiView("missing", 3)(dict(given))
    for img, before in zip(given["img"], kept, strict=True):
        np.testing.assert_array_equal(img, before)


@pytest.mark.parametrize(("name", "level"), [("fog", 1), ("rain", 0), ("rain", 4)])
def test_what_there_is_not(name, level):
    with pytest.raises(MapLLaVAError, match=r"use one of missing, .*level 1, 2 or 3"):
        CorruptMultiView(name, level)


def test_dropout_takes_up_to_so_many_cameras_as_often_as_asked():
    np.random.seed(0)  # noqa: NPY002
    drop = CameraDropout(prob=0.75, max_cameras=2)
    lost = [sum(not img.any() for img in drop(sample())["img"]) for _ in range(300)]
    assert set(lost) == {0, 1, 2}
    assert np.mean([each > 0 for each in lost]) == pytest.approx(0.75, abs=0.08)
    assert lost.count(1) == pytest.approx(lost.count(2), rel=0.35)


def test_dropout_leaves_one_camera():
    drop = CameraDropout(prob=1.0, max_cameras=9)
    for _ in range(40):
        assert any(img.any() for img in drop(sample())["img"])
    alone = {"img": sample()["img"][:1]}
    assert drop(alone)["img"][0].any()


@pytest.mark.parametrize("options", [{"prob": 1.2}, {"max_cameras": 0}])
def test_dropout_out_of_range(options):
    with pytest.raises(ValueError, match=r"CameraDropout\.(prob|max_cameras)"):
        CameraDropout(**options)
