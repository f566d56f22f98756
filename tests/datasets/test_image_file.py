"""Image files that are unusual decode as Pillow reads them; damaged and absurd ones are refused by name."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mapllava.datasets.image_file import decode, open_image
from mapllava.datasets.transforms import LoadMultiViewImages
from mapllava.errors import MapLLaVAError

W, H = 161, 91
LIMIT = 10**6


def colours() -> np.ndarray:
    """(H, W, 3) RGB, smooth, with noise enough that every block of a JPEG has bits."""
    y, x = np.mgrid[0:H, 0:W]
    img = np.stack([40 + 150 * x / W, 200 - 150 * y / H, 60 + 60 * np.sin(x / 15)], -1)
    return (img + np.random.default_rng(0).normal(0, 8, img.shape)).clip(0, 255).astype(np.uint8)


RGB = colours()
BASE = Image.fromarray(RGB)


def saved(kind: str, img: Image.Image = BASE, **options) -> bytes:
    stream = io.BytesIO()
    img.save(stream, kind, **options)
    return stream.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


JPEG = saved("JPEG", quality=95)
PROGRESSIVE = saved("JPEG", quality=95, progressive=True)
UNUSUAL = {
    "plain": JPEG,
    "progressive": PROGRESSIVE,
    "4:4:4": saved("JPEG", subsampling="4:4:4"),
    "stored as RGB": saved("JPEG", keep_rgb=True),
    "restart markers": saved("JPEG", restart_marker_rows=1),
    "grey": saved("JPEG", BASE.convert("L")),
    "orientation": saved("JPEG", exif=turned()),
    "new line behind": JPEG + b"\n",
    "maker's data behind": JPEG + b"SEFT" + bytes(range(1, 256)) * 257,
    "zeros behind": JPEG + bytes(5000),
    "another image behind": JPEG + PROGRESSIVE,
    "fill bytes": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "PNG": saved("PNG"),
    "PNG RGBA": saved("PNG", Image.merge("RGBA", (*BASE.split(), Image.new("L", BASE.size, 9)))),
    "PNG palette": saved("PNG", BASE.convert("P")),
    "PNG palette of 16": saved("PNG", BASE.quantize(16), bits=4),
    "PNG with a transparent colour": saved("PNG", BASE.convert("P"), transparency=3),
    "PNG grey": saved("PNG", BASE.convert("L")),
    "PNG grey and alpha": saved("PNG", BASE.convert("LA")),
    "PNG of one bit": saved("PNG", BASE.convert("1")),
    "WebP": saved("WEBP", lossless=True),
    "BMP": saved("BMP"),
    "TIFF": saved("TIFF", compression="tiff_lzw"),
    "PPM": saved("PPM"),
}


@pytest.fixture
def write(tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / "photo"
        path.write_bytes(data)
        return path

    return write


def load(path: Path, **options) -> np.ndarray:
    """The transform's image, BGR."""
    k = np.array([[[200.0, 0, 80], [0, 200, 45], [0, 0, 1]]])
    results = {"img_paths": [str(path)], "cam_names": ["CAM_FRONT"], "cam2img": k}
    return LoadMultiViewImages(**options)(results)["img"][0]


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_file_is_what_pillow_reads(write, kind, capfd):
    reference = np.asarray(Image.open(io.BytesIO(UNUSUAL[kind])).convert("RGB")).astype(int)
    img = load(write(UNUSUAL[kind]))
    assert img.shape == (H, W, 3)
    assert np.abs(img[..., ::-1] - reference).max() <= 1
    half = load(write(UNUSUAL[kind]), size=(W // 2, H // 2))
    small = cv2.resize(reference.astype(np.uint8), (W // 2, H // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(half[..., ::-1].astype(int) - small).mean() < 4
    assert capfd.readouterr().err == ""


def test_cmyk_is_within_a_rounding_of_pillow(write):
    data = saved("JPEG", BASE.convert("CMYK"), quality=95)
    reference = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(load(write(data))[..., ::-1] - reference).max() <= 2


def png16(values: np.ndarray) -> bytes:
    return cv2.imencode(".png", values)[1].tobytes()


def test_sixteen_bits_are_taken_where_white_is_at_the_top(write):
    img = load(write(png16(RGB[..., ::-1].astype(np.uint16) * 257)))
    assert np.array_equal(img[..., ::-1], RGB)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sensors_bits_in_sixteen_are_refused(write, bits, channels):
    values = RGB[..., :channels].astype(np.uint16) << (bits - 8)
    with pytest.raises(MapLLaVAError, match=r"CAM_FRONT.*how many bits mean white: convert it"):
        load(write(png16(values)))


def with_size(data: bytes, width: int, height: int, bits: int = 8) -> bytes:
    """A baseline JPEG whose header says something else."""
    place = data.find(b"\xff\xc0") + 4
    return data[:place] + struct.pack(">BHH", bits, height, width) + data[place + 5 :]


CUT = len(JPEG) * 2 // 3
HOLE = JPEG[: len(JPEG) // 2] + bytes(512) + JPEG[len(JPEG) // 2 + 512 :]
PNG = UNUSUAL["PNG"]
BOMB = b"IHDR" + struct.pack(">II", 60000, 60000) + PNG[24:29]
DAMAGED = {
    "cut": (JPEG[:CUT], "cut short"),
    "cut in the header": (JPEG[:40], "cut short"),
    "cut, zeros behind": (JPEG[:CUT] + bytes(len(JPEG) - CUT), "cut short"),
    "cut, end marker behind": (JPEG[:CUT] + b"\xff\xd9", "damaged inside"),
    "cut, another image behind": (JPEG[:CUT] + JPEG, "damaged inside"),
    "a piece missing": (JPEG[:CUT] + JPEG[CUT + 512 :], "damaged inside"),
    "zeros inside": (HOLE, "damaged inside"),
    "progressive, cut": (PROGRESSIVE[: len(PROGRESSIVE) // 3] + b"\xff\xd9", "damaged inside"),
    "header says taller": (with_size(JPEG, W, 2 * H), "damaged inside"),
    "header says lower": (with_size(JPEG, W, H // 2), "damaged inside"),
    "no height": (with_size(JPEG, W, 0), "does not decode"),
    "a bomb": (with_size(JPEG, 65500, 65500), "65500 x 65500 pixels"),
    "12 bits": (with_size(JPEG, W, H, bits=12), "12-bit.*8 bits"),
    "PNG cut": (PNG[: len(PNG) // 2], "does not decode"),
    "PNG with a flipped bit": (PNG[:5000] + bytes([PNG[5000] ^ 4]) + PNG[5001:], "damaged inside"),
    "PNG bomb": (PNG[:12] + BOMB + struct.pack(">I", zlib.crc32(BOMB)) + PNG[33:], "60000 x 60000 pixels"),
    "PPM cut": (UNUSUAL["PPM"][:-9], "does not decode"),
    "WebP cut": (UNUSUAL["WebP"][:-99], "does not decode"),
    "TIFF of 16 bits": (saved("TIFF", Image.fromarray(RGB[..., 0].astype(np.uint16))), "more than 8 bits"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "does not decode"),
    "an LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
        "does not decode",
    ),
    "nothing": (b"", "does not decode"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("options", [{}, {"size": (40, 22)}])
def test_a_damaged_or_absurd_file_is_refused_by_name(write, kind, options):
    data, words = DAMAGED[kind]
    path = write(data)
    with pytest.raises(MapLLaVAError, match=words) as caught:
        load(path, **options)
    assert str(path) in str(caught.value)
    assert "CAM_FRONT" in str(caught.value)


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(MapLLaVAError, match="is no file but a folder, a device or a pipe"):
            load(path)


def test_a_file_of_absurd_length_is_not_read(tmp_path):
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as stream:
        stream.truncate(10**12)
    with pytest.raises(MapLLaVAError, match="1,000,000,000,000 bytes"):
        load(path)


def test_the_limit_of_pixels_is_an_argument(write):
    path = write(JPEG)
    assert load(path, max_pixels=W * H).shape == (H, W, 3)
    with pytest.raises(MapLLaVAError, match=r"161 x 91 pixels.*max_pixels"):
        load(path, max_pixels=W * H - 1)


def test_what_other_threads_say_is_passed_on(write, capfd):
    path, stop = write(JPEG), threading.Event()
    lines = 0

    def talk() -> None:
        nonlocal lines
        while not stop.is_set():
            os.write(2, b"a line\n")
            lines += 1

    talker = threading.Thread(target=talk)
    talker.start()
    for _ in range(50):
        decode(open_image(path, "", LIMIT))
    stop.set()
    talker.join()
    assert capfd.readouterr().err.count("a line\n") == lines > 0


def test_a_process_without_stderr_finds_damage_as_well(write):
    code = (
        "import sys; from mapllava.datasets.image_file import decode, open_image\n"
        "try: decode(open_image(sys.argv[1], '', 10**6))\n"
        "except ValueError as error: print(error)"
    )
    command = f'"{sys.executable}" -c "{code}" "{write(HOLE)}" 2>&-'
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    assert "damaged inside" in done.stdout
