"""Images of one's own rig, checked against it and undistorted, as a model's pipeline takes them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mapllava.datasets.image_file import ImageError, decode, is_deep, open_image
from mapllava.errors import MapLLaVAError
from mapllava.geometry.lens import pinhole, undistort
from mapllava.structures.rig import RigCamera, RigSample

MAX_PIXELS = 100_000_000
"""Most pixels that an image may have."""
_ORIENTATION = 274
_TURNED = {
    2: "mirrored", 3: "turned by 180°", 4: "mirrored upside down", 5: "mirrored and turned by 90°",
    6: "turned by 90° clockwise", 7: "mirrored and turned by 90°", 8: "turned by 90° anticlockwise",
}  # fmt: skip
_UPRIGHT = (
    "write the pixels as the rig means them and without the tag: 'mogrify -auto-orient FILE' turns them, "
    "'exiftool "
    "-Orientation= FILE' keeps them as they are stored"
)


def prepare_images(sample: RigSample, decode_all: bool = False) -> RigSample:
    """Check a moment's images against its rig, and undistort those of lenses that bend the picture.

    Args:
        sample: As an input gives it.
        decode_all: Give every image as an array; else files of pinhole cameras stay paths, so that the
            pipeline can decode them at a fraction.

    Returns:
        The sample whose ``rig`` and ``images`` belong together: no camera has a distortion any more.

    Raises:
        MapLLaVAError: If an image cannot be read, has another size than its camera, or a tag that turns it;
            names camera, file and remedy.
    """
    pairs = [
        _prepared(camera, image, decode_all)
        for camera, image in zip(sample.rig.cameras, sample.images, strict=True)
    ]
    rig = replace(sample.rig, cameras=tuple(camera for camera, _ in pairs))
    return replace(sample, rig=rig, images=tuple(image for _, image in pairs))


def from_pillow(image: Image.Image, camera: RigCamera) -> np.ndarray:
    """A Pillow image's pixels as stored, (H, W, 3) uint8 BGR, under the rules that a file is under.

    Args:
        image: Of 8 bits a channel.
        camera: Which took it.

    Raises:
        MapLLaVAError: If it holds more bits, or a tag that turns it; names camera and remedy.
    """
    what = f"the image of camera {camera.name}"
    if is_deep(image):
        raise MapLLaVAError(
            f"{what} is of Pillow's mode {image.mode} and has more than 8 bits a channel, and does not say "
            "how many of them mean white: convert it to 8 bits a channel"
        )
    check_orientation(camera, image.getexif(), image.size, what)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])


def _prepared(
    camera: RigCamera, image: Path | np.ndarray, decode_all: bool
) -> tuple[RigCamera, Path | np.ndarray]:
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise MapLLaVAError(
                f"the image of camera {camera.name} is {image.dtype} {image.shape}, not uint8 (H, W, 3) in "
                "BGR order"
            )
        _check_size(camera, (image.shape[1], image.shape[0]), f"the image of camera {camera.name}")
        return pinhole(camera), undistort(image, camera)
    path = Path(image)
    file = open_image(path, camera.name, MAX_PIXELS)
    with Image.open(io.BytesIO(file.data)) as header:
        check_orientation(camera, header.getexif(), file.size, f"image '{path}' ({camera.name})")
    _check_size(camera, file.size, f"image '{path}' ({camera.name})")
    if camera.distortion is None and not decode_all:
        return camera, path
    try:
        pixels = decode(file)
    except ImageError as error:
        raise MapLLaVAError(f"image '{path}' ({camera.name}) {error}") from error
    return pinhole(camera), undistort(pixels, camera)


def check_orientation(camera: RigCamera, exif: Image.Exif, size: tuple[int, int], what: str) -> None:
    """Pixels count as stored; a tag that turns them is taken only where the rig's size says it means these.

    Args:
        camera: Which took the image.
        exif: The image's.
        size: (width, height) as stored, pixels.
        what: The image, for the error.

    Raises:
        MapLLaVAError: If it would be turned; names both sizes and the remedy.
    """
    tag = exif.get(_ORIENTATION, 1)
    if tag not in _TURNED:
        return
    if tag >= 5 and size == camera.size and size[0] != size[1]:
        return
    raise MapLLaVAError(
        f"{what} is stored as {size[0]} x {size[1]} with an EXIF orientation of "
        f"{tag} "
        f"({_TURNED[tag]} for viewing), and the rig says {camera.size[0]} x {camera.size[1]}: the pixels "
        "as stored "
        f"are not the picture that was calibrated, or nobody can tell; {_UPRIGHT}"
    )


def _check_size(camera: RigCamera, size: tuple[int, int], what: str) -> None:
    if size == camera.size:
        return
    (width, height), k = camera.size, camera.cam2img
    scale = size[0] / width
    if abs(size[1] / height / scale - 1) < 0.005:
        centre = ((k[:2, 2] + 0.5) * scale - 0.5).round(2).tolist()
        remedy = (
            f"if it was only scaled, write width {size[0]}, height {size[1]}, fx {k[0, 0] * scale:.2f}, fy "
            f"{k[1, 1] * scale:.2f}, cx {centre[0]}, cy {centre[1]} into the rig"
        )
    else:
        remedy = (
            "it was cut out or squeezed: write its size and the intrinsics that belong to it into the rig"
        )
    raise MapLLaVAError(
        f"{what} has {size[0]} x {size[1]} pixels and the rig says {width} x {height}: {remedy}"
    )
