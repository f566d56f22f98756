from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapllava.datasets.transforms import LoadMultiViewImages
from mapllava.errors import MapLLaVAError


def sample(*paths):
    k = np.array([[900.0, 0, 480], [0, 900, 270], [0, 0, 1]])
    names = [f"CAM_{i}" for i in range(len(paths))]
    return {"img_paths": [str(p) for p in paths], "cam_names": names, "cam2img": np.stack([k] * len(paths))}


@pytest.fixture
def photo(tmp_path) -> Path:
    """A smooth 960 x 540 picture, its left half blue and its right half red."""
    ramp = np.linspace(40, 200, 540)[:, None] * np.ones((1, 960))
    img = np.stack([ramp, ramp * 0.5, ramp * 0.25], axis=-1)
    img[:, 480:] = img[:, 480:, ::-1]
    path = tmp_path / "photo.jpg"
    cv2.imwrite(str(path), img.astype(np.uint8))
    return path


def test_images_are_bgr_uint8_in_the_stored_size(photo):
    results = LoadMultiViewImages()(sample(photo))
    (img,) = results["img"]
    assert img.shape == (540, 960, 3)
    assert img.dtype == np.uint8
    assert img[400, 100, 0] > img[400, 100, 2] + 50
    np.testing.assert_array_equal(results["cam2img"], sample(photo)["cam2img"])


@pytest.mark.parametrize(
    ("size", "factor"), [((960, 540), 1), ((481, 270), 1), ((480, 270), 2), ((300, 100), 2), ((120, 67), 8)]
)
def test_the_strongest_reduction_that_leaves_enough_is_taken(photo, monkeypatch, size, factor):
    decoded = []
    resize = cv2.resize

    def spy(img, *args, **kwargs):
        decoded.append(img.shape[1])
        return resize(img, *args, **kwargs)

    monkeypatch.setattr(cv2, "resize", spy)
    (img,) = LoadMultiViewImages(size=size)(sample(photo))["img"]
    assert img.shape == (size[1], size[0], 3)
    assert (decoded or [size[0]]) == [960 // factor]


def test_reduced_decoding_shows_the_same_picture(photo):
    (quick,) = LoadMultiViewImages(size=(400, 225))(sample(photo))["img"]
    (plain,) = LoadMultiViewImages(size=(400, 225), reduce=1)(sample(photo))["img"]
    assert np.abs(quick.astype(int) - plain)[:, :190].max() <= 4
    assert np.abs(quick.astype(int) - plain).mean() < 1


def test_a_scale_is_of_the_stored_size(photo):
    results = LoadMultiViewImages(scale=0.25)(sample(photo))
    assert results["img"][0].shape == (135, 240, 3)
    k = results["cam2img"][0]
    assert (k[0, 0], k[0, 2]) == (225.0, 480.5 * 0.25 - 0.5)


def test_png_is_read_and_scaled(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((20, 40, 3), 90, np.uint8))
    results = LoadMultiViewImages(size=(10, 5))(sample(path))
    assert results["img"][0].shape == (5, 10, 3)
    assert results["cam2img"][0, 0, 0] == 900 * 0.25


def test_an_orientation_tag_does_not_turn_the_pixels(photo):
    tiff = b"MM\x00\x2a" + struct.pack(">IH", 8, 1) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    app1 = b"Exif\x00\x00" + tiff
    data = photo.read_bytes()
    photo.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + data[2:])
    assert cv2.imread(str(photo)).shape == (960, 540, 3)
    assert LoadMultiViewImages()(sample(photo))["img"][0].shape == (540, 960, 3)
    assert LoadMultiViewImages(size=(100, 50))(sample(photo))["img"][0].shape == (50, 100, 3)


def test_a_missing_file_is_named(photo, tmp_path):
    with pytest.raises(MapLLaVAError, match=r"gone\.jpg.*CAM_1"):
        LoadMultiViewImages()(sample(photo, tmp_path / "gone.jpg"))


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.999])
def test_a_file_cut_short_is_named(photo, tmp_path, keep):
    data = photo.read_bytes()
    short = tmp_path / "short.jpg"
    short.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(MapLLaVAError, match=r"short\.jpg.*cut short"):
        LoadMultiViewImages(size=(100, 50))(sample(short))


def test_a_file_cut_short_and_filled_with_zeros_is_named(photo, tmp_path):
    data = photo.read_bytes()
    short = tmp_path / "short.jpg"
    short.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    with pytest.raises(MapLLaVAError, match=r"short\.jpg.*cut short"):
        LoadMultiViewImages()(sample(short))


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\xff\xd8\xff\xd9"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "noise.jpg"
    path.write_bytes(content)
    with pytest.raises(MapLLaVAError, match=r"noise\.jpg.*does not decode"):
        LoadMultiViewImages(size=(10, 5))(sample(path))


def test_padding_behind_the_end_marker_is_no_damage(photo):
    photo.write_bytes(photo.read_bytes() + bytes(7))
    assert LoadMultiViewImages()(sample(photo))["img"][0].shape == (540, 960, 3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="reduce is 3"):
        LoadMultiViewImages(reduce=3)
    with pytest.raises(ValueError, match="one of size"):
        LoadMultiViewImages(size=(10, 10), scale=0.5)
