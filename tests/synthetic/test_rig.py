from __future__ import annotations

import numpy as np
import pytest

from mapllava.synthetic.rig import MOUNTS, draw_rig, quaternion


def test_quaternion_gives_the_rotation_back():
    from pyquaternion import Quaternion

    for seed in range(50):
        rotation = Quaternion.random().rotation_matrix if seed else np.diag([-1.0, -1.0, 1.0])
        values = quaternion(rotation)
        assert values[0] >= 0
        assert np.linalg.norm(values) == pytest.approx(1)
        assert np.allclose(Quaternion(values).rotation_matrix, rotation, atol=1e-9)


def test_intrinsics_scale_with_the_image():
    full = draw_rig(np.random.default_rng(0), (1600, 900))
    half = draw_rig(np.random.default_rng(0), (800, 450))
    for a, b in zip(full[1:], half[1:], strict=True):
        ray = np.linalg.inv(a.intrinsic) @ [99.5, 199.5, 1]
        pixel = b.intrinsic @ ray
        assert np.allclose(pixel[:2] / pixel[2], [(99.5 + 0.5) / 2 - 0.5, (199.5 + 0.5) / 2 - 0.5])


def test_cameras_look_where_their_names_say():
    sensors = {sensor.channel: sensor for sensor in draw_rig(np.random.default_rng(3), (1600, 900))}
    assert list(sensors)[1:] == list(MOUNTS)
    views = {name: sensors[name].sensor2ego[:3, 2] for name in MOUNTS}
    assert views["CAM_FRONT"][0] > 0.99
    assert views["CAM_BACK"][0] < -0.99
    assert all(views[name][1] > 0.5 for name in MOUNTS if name.endswith("LEFT"))
    assert all(views[name][1] < -0.5 for name in MOUNTS if name.endswith("RIGHT"))
    assert all(sensors[name].sensor2ego[2, 1] < -0.99 for name in MOUNTS)  # image's down is down


def test_every_log_is_calibrated_a_little_differently():
    a, b = (draw_rig(np.random.default_rng(seed), (1600, 900)) for seed in (0, 1))
    for first, second in zip(a, b, strict=True):
        gap = np.abs(first.sensor2ego - second.sensor2ego).max()
        assert 0 < gap < 0.05
