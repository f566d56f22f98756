"""Painted points are found where ``lidar2img`` projects them, after every geometric transform."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.dataset import Compose

from mapllava.datasets.transforms import (
    CropMultiView,
    LoadMultiViewImages,
    PackMapInputs,
    RandomLateralFlip,
    ResizeMultiView,
)

MIRROR = np.array([-1.0, 1.0, 1.0])


def blob_offsets(packed: dict, points: np.ndarray, sigma: float) -> tuple[list[float], dict[int, int]]:
    """Pixels between projection and blob for every isolated visible point; points per slot."""
    meta = packed["data_samples"].metainfo
    offsets, seen = [], {}
    for slot, (img, matrix) in enumerate(zip(packed["inputs"]["img"], meta["lidar2img"], strict=True)):
        grey = img[0].numpy().astype(np.float64) - 40
        height, width = grey.shape
        projected = np.c_[points, np.ones(len(points))] @ matrix.astype(np.float64).T
        front = projected[:, 2] > 0.5
        pixels = projected[:, :2] / projected[:, 2:3]
        window = int(np.ceil(3.0 * sigma))
        for k, (u, v) in enumerate(pixels):
            others = np.delete(pixels, k, axis=0)[np.delete(front, k)]
            alone = np.abs(others - (u, v)).max(1).min() > 2.2 * window
            inside = window < u < width - 1 - window and window < v < height - 1 - window
            if not (front[k] and inside and alone):
                continue
            u0, v0 = round(u), round(v)
            part = grey[v0 - window : v0 + window + 1, u0 - window : u0 + window + 1].clip(min=4) - 4
            rows, cols = np.mgrid[-window : window + 1, -window : window + 1]
            total = part.sum()
            assert total > 20 * sigma**2, f"no blob at {(u, v)} in slot {slot}"
            at = u0 + (part * cols).sum() / total, v0 + (part * rows).sum() / total
            offsets.append(float(np.hypot(at[0] - u, at[1] - v)))
            seen[slot] = seen.get(slot, 0) + 1
    return offsets, seen


def flip_if(flip: bool) -> RandomLateralFlip:
    return RandomLateralFlip(prob=1.0 if flip else 0.0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("steps", "scale"),
    [
        ([LoadMultiViewImages()], 1.0),
        ([LoadMultiViewImages(size=(704, 396))], 0.44),
        ([LoadMultiViewImages(scale=0.25)], 0.25),
        ([LoadMultiViewImages(reduce=2), ResizeMultiView(size=(600, 400))], 0.4),
        ([LoadMultiViewImages(size=(560, 336)), CropMultiView(top=61, bottom=3, left=17, right=40)], 0.36),
    ],
    ids=["full", "half", "quarter", "stretched", "cropped"],
)
def test_blobs_are_where_points_project(rig, steps, scale, flip):
    packed = Compose([*steps, flip_if(flip), PackMapInputs()])(rig.results())
    points = rig.points * MIRROR if flip else rig.points
    offsets, seen = blob_offsets(packed, points, 9.0 * scale)
    assert len(offsets) >= 20
    assert set(seen) == set(range(6))
    assert np.max(offsets) < 0.2
    assert np.mean(offsets) < 0.06


def test_sizes_that_do_not_halve_evenly(odd_rig):
    pipeline = Compose([LoadMultiViewImages(size=(640, 360)), flip_if(True), PackMapInputs()])
    offsets, _ = blob_offsets(pipeline(odd_rig.results()), odd_rig.points * MIRROR, 3.6)
    assert len(offsets) >= 20
    assert np.mean(offsets) < 0.06


def test_crop_after_flip_and_flip_after_crop_agree_with_the_paint(rig):
    crop = CropMultiView(left=30)
    pipeline = Compose([LoadMultiViewImages(size=(704, 396)), flip_if(True), crop, PackMapInputs()])
    offsets, _ = blob_offsets(pipeline(rig.results()), rig.points * MIRROR, 3.96)
    assert np.max(offsets) < 0.2
