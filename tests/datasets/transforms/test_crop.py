from __future__ import annotations

import numpy as np
import pytest

from mapllava.datasets.transforms import CropMultiView
from mapllava.errors import MapLLaVAError


def sample(width=40, height=20):
    img = np.zeros((height, width, 3), np.uint8)
    img[4:8, 10:20] = 200
    return {
        "img": [img, img.copy()],
        "cam2img": np.stack([np.array([[30.0, 0, 19.5], [0, 30, 9.5], [0, 0, 1]])] * 2),
    }


def test_crop_moves_the_principal_point_and_keeps_the_rest():
    results = CropMultiView(top=4, left=10, right=20, bottom=12)(sample())
    assert all((img == 200).all() and img.shape == (4, 10, 3) for img in results["img"])
    np.testing.assert_array_equal(results["cam2img"][0], [[30, 0, 9.5], [0, 30, 5.5], [0, 0, 1]])


def test_crop_refuses_what_leaves_nothing():
    with pytest.raises(MapLLaVAError, match="leaves nothing of an image of 40 x 20"):
        CropMultiView(top=12, bottom=8)(sample())
    with pytest.raises(ValueError, match=r"CropMultiView.top"):
        CropMultiView(top=-1)
