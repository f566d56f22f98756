from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import LoadMultiViewImages, ResizeMultiView
from mapllava.datasets.transforms.resize import scale_intrinsics
from mapllava.errors import MapLLaVAError


def sample(width=40, height=20):
    img = np.zeros((height, width, 3), np.uint8)
    img[4:8, 10:20] = 200
    return {
        "img": [img, img.copy()],
        "cam2img": np.stack([np.array([[30.0, 0, 19.5], [0, 30, 9.5], [0, 0, 1]])] * 2),
    }


def test_corner_and_centre_keep_their_place():
    k = scale_intrinsics(np.eye(3), 0.25, 0.5)
    for u, wanted in ((-0.5, -0.5), (39.5, 9.5), (19.5, 4.5)):
        assert (k @ [u, 0, 1])[0] == pytest.approx(wanted)
    assert (k @ [0, 19.5, 1])[1] == pytest.approx(9.5)


def test_size_may_change_the_aspect():
    results = ResizeMultiView(size=(20, 5))(sample())
    assert [img.shape for img in results["img"]] == [(5, 20, 3)] * 2
    assert results["cam2img"][0, 0, 0] == 15
    assert results["cam2img"][0, 1, 1] == 7.5
    assert results["cam2img"][1, 0, 2] == pytest.approx(9.5)


def test_scale_rounds_and_the_intrinsics_follow_the_rounded_size():
    results = ResizeMultiView(scale=0.33)(sample())
    assert results["img"][0].shape == (7, 13, 3)
    assert results["cam2img"][0, 0, 0] == pytest.approx(30 * 13 / 40)


def test_auto_does_not_skip_pixels_when_shrinking_much():
    line = sample(400, 200)
    line["img"][0][:, 201] = 255
    wide = ResizeMultiView(size=(40, 20))(line)["img"][0]
    assert wide[10, 20, 0] > 10


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"size": (0, 5)},
        {"size": (5,)},
        {"size": 5},
        {"size": "64"},
        {"size": (4.5, 4)},
        {"scale": float("nan")},
        {"scale": 0},
        {"scale": -1},
        {"size": (4, 4), "scale": 1},
        {"scale": 1, "interpolation": "x"},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="ResizeMultiView"):
        ResizeMultiView(**arguments)


def test_width_and_height_exchanged_is_refused_other_shapes_are_not():
    with pytest.raises(MapLLaVAError, match=r"size=\(336, 560\) .* 1600 x 900 .* write size=\(560, 336\)"):
        ResizeMultiView(size=(336, 560)).check_shapes([(1600, 900)] * 2)
    for size in ((560, 336), (448, 448), (224, 672)):
        ResizeMultiView(size=size).check_shapes([(1600, 900)])
    ResizeMultiView(size=(90, 160)).check_shapes([(900, 1600)])  # a camera on its side


@pytest.mark.parametrize("load", [LoadMultiViewImages, ResizeMultiView])
def test_one_upright_camera_among_others_is_no_mistake(load):
    def sample(*shapes):
        images = [np.zeros((h, w, 3), np.uint8) for w, h in shapes]
        return {"img": images, "cam2img": np.stack([np.eye(3)] * len(shapes)), "cam_names": ["a", "b"]}

    ring = load(size=(56, 34))(sample((155, 205), (205, 155)))  # Argoverse 2's shapes: front and side
    assert [image.shape[:2] for image in ring["img"]] == [(34, 56)] * 2
    np.testing.assert_allclose(
        ring["cam2img"][:, [0, 1], [0, 1]], [[56 / 155, 34 / 205], [56 / 205, 34 / 155]]
    )
    with pytest.raises(MapLLaVAError, match=r"write size=\(56, 34\)"):
        load(size=(34, 56))(sample((205, 155), (205, 155)))
    with pytest.raises(MapLLaVAError, match=r"images of 2048 x 1550 pixels .* write size=\(560, 360\)"):
        ResizeMultiView(size=(360, 560)).check_shapes([(1550, 2048), *[(2048, 1550)] * 6])
