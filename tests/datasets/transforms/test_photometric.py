from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import PhotoMetricDistortionMultiView
from mapllava.datasets.transforms.photometric import colour_matrix

LUMA = np.array([0.114, 0.587, 0.299])


def apply(matrix, bgr):
    return matrix[:, :3] @ np.asarray(bgr, float) + matrix[:, 3]


def seed(value):
    np.random.seed(value)  # noqa: NPY002


def sample(rows=8):
    rng = np.random.default_rng(3)
    img = rng.integers(60, 190, (rows, 10, 3), dtype=np.uint8)
    return {"img": [img.copy() for _ in range(6)]}


def test_nothing_drawn_changes_nothing():
    np.testing.assert_allclose(colour_matrix(0, 1, 1, 0), np.eye(3, 4), atol=1e-12)
    results = PhotoMetricDistortionMultiView(prob=0.0)(sample())
    np.testing.assert_array_equal(results["img"][0], sample()["img"][0])


def test_brightness_shifts_and_contrast_spreads_about_mid_grey():
    np.testing.assert_allclose(apply(colour_matrix(10, 1, 1, 0), [20, 30, 40]), [30, 40, 50])
    np.testing.assert_allclose(apply(colour_matrix(0, 2, 1, 0), [127.5, 100, 150]), [127.5, 72.5, 172.5])


def test_saturation_zero_is_grey_of_equal_luma():
    colour = np.array([200.0, 50, 90])
    np.testing.assert_allclose(apply(colour_matrix(0, 1, 0, 0), colour), np.full(3, LUMA @ colour))


@pytest.mark.parametrize("hue", [-20.0, 35.0])
def test_hue_keeps_grey_and_luma_but_turns_colour(hue):
    matrix = colour_matrix(0, 1, 1, hue)
    np.testing.assert_allclose(apply(matrix, [80, 80, 80]), [80, 80, 80])
    colour = np.array([60.0, 80, 160])
    assert LUMA @ apply(matrix, colour) == pytest.approx(LUMA @ colour)
    assert np.abs(apply(matrix, colour) - colour).max() > 10


def test_a_turn_by_120_degrees_exchanges_the_channels_but_for_luma():
    turned = apply(colour_matrix(0, 1, 1, 120), [0, 0, 255])
    assert turned.argmax() != 2
    np.testing.assert_allclose(apply(colour_matrix(0, 1, 1, 360), [1, 2, 3]), [1, 2, 3])


def test_one_draw_per_sample_or_per_camera():
    seed(1)
    shared = PhotoMetricDistortionMultiView(prob=1.0)(sample())["img"]
    assert all((img == shared[0]).all() for img in shared)
    assert (shared[0] != sample()["img"][0]).any()
    own = PhotoMetricDistortionMultiView(prob=1.0, per_camera=True)(sample())["img"]
    assert not any((img == own[0]).all() for img in own[1:])


def test_the_seed_decides():
    transform = PhotoMetricDistortionMultiView(prob=1.0)
    seed(7)
    first, second = transform(sample())["img"][0], transform(sample())["img"][0]
    seed(7)
    np.testing.assert_array_equal(transform(sample())["img"][0], first)
    assert (first != second).any()


def test_colours_saturate_and_the_source_stays():
    source = sample()
    kept = source["img"][0].copy()
    matrix_free = PhotoMetricDistortionMultiView(
        brightness=0, contrast=(50, 50), saturation=(1, 1), hue=0, prob=1.0
    )
    img = source["img"][0]
    out = matrix_free(source)["img"][0]
    assert out.dtype == np.uint8
    assert out[kept > 135].min() == 255
    assert out[kept < 120].max() == 0
    np.testing.assert_array_equal(img, kept)


@pytest.mark.parametrize(
    "arguments",
    [{"contrast": (1.2, 0.8)}, {"saturation": (-1, 1)}, {"brightness": -1}, {"hue": -1}, {"prob": 2}],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"PhotoMetricDistortionMultiView.{next(iter(arguments))}"):
        PhotoMetricDistortionMultiView(**arguments)
