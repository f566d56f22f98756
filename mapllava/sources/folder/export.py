"""Samples of any input as a folder with ``rig.json``: the example that one's own folder is written after."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, safe_name, write_json
from mapllava.sources.folder.folder_input import FRAMES_FILE
from mapllava.sources.folder.rig_file import RIG_FILE
from mapllava.structures.rig import Rig, RigCamera, RigInput, RigSample

_DIGITS = 9
"""Decimals of a pose: nanometres, and rotations that stay rotations."""


def export_folder(opened: RigInput, out: str | Path, cameras: Sequence[str] | None = None) -> Path:
    """Write an input as ``rig.json``, ``frames.json`` and images.

    The rig holds the poses of the first sample; a later sample's camera that stood elsewhere (the car moves
    between exposures) has its own in ``frames.json``.

    Args:
        opened: The input, at least one sample.
        out: The folder; must be absent or empty.
        cameras: Names of those to take, in this order; all if None.

    Returns:
        The folder.

    Raises:
        MapLLaVAError: If a camera or an image is not there, or the folder cannot be written.
    """
    out, frames, written = Path(out), [], None
    taken: set[str] = set()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MapLLaVAError(f"'{out}' exists and is not empty: name another folder, or remove it")
    with atomic_write(out) as partial:
        partial.mkdir()
        for sample in opened:
            sample = with_cameras(sample, cameras)
            if written is None:
                written = sample
                write_json(partial / RIG_FILE, _rig(sample))
            images = f"images/{safe_name(sample.token, taken)}"
            frames.append(_frame(sample, written.rig, partial, images))
        if written is None:
            raise MapLLaVAError(f"{opened.source} holds no samples, so nothing can be written")
        write_json(partial / FRAMES_FILE, frames)
    return out


def with_cameras(sample: RigSample, names: Sequence[str] | None) -> RigSample:
    """A sample with some of its cameras alone.

    Args:
        sample: The sample.
        names: In the wanted order; all if None.

    Raises:
        MapLLaVAError: If the rig has no such camera; names those that it has.
    """
    if names is None:
        return sample
    places = {camera.name: place for place, camera in enumerate(sample.rig.cameras)}
    unknown = [name for name in names if name not in places]
    if unknown or not names or len(set(names)) < len(names):
        raise MapLLaVAError(
            f"cameras {', '.join(names) or '(none)'}: name each of {', '.join(places)} at most once"
        )
    chosen = [places[name] for name in names]
    rig = replace(sample.rig, cameras=tuple(sample.rig.cameras[place] for place in chosen))
    return replace(sample, rig=rig, images=tuple(sample.images[place] for place in chosen))


def _rig(sample: RigSample) -> dict[str, Any]:
    rig: dict[str, Any] = {"version": 1, "cameras": [_camera(camera) for camera in sample.rig.cameras]}
    if sample.rig.lidar2ego is not None:
        rig["lidar_to_vehicle"] = _matrix(sample.rig.lidar2ego)
    if sample.crs is not None:
        rig["crs"] = sample.crs
    return rig


def _camera(camera: RigCamera) -> dict[str, Any]:
    (width, height), k = camera.size, camera.cam2img
    written: dict[str, Any] = {"name": camera.name, "width": width, "height": height}
    if k[0, 1]:
        written["camera_matrix"] = k.tolist()
    else:
        written.update(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2])
    if camera.distortion is not None:
        written["distortion"] = {
            "model": camera.distortion.model,
            "coefficients": list(camera.distortion.coefficients),
        }
    return {**written, "camera_to_vehicle": _matrix(camera.cam2ego)}


def _frame(sample: RigSample, rig: Rig, folder: Path, images: str) -> dict[str, Any]:
    """An entry of ``frames.json``; its images are copied into the folder ``images`` of that one."""
    frame: dict[str, Any] = {"token": sample.token}
    if sample.scene:
        frame["scene"] = sample.scene
    if sample.timestamp is not None:
        frame["timestamp"] = int(sample.timestamp)
    if sample.ego2global is not None:
        frame["vehicle_to_world"] = _matrix(sample.ego2global)
    moved = {
        camera.name: {"camera_to_vehicle": _matrix(camera.cam2ego)}
        for camera, still in zip(sample.rig.cameras, rig.cameras, strict=True)
        if not np.allclose(camera.cam2ego, still.cam2ego, rtol=0, atol=1e-9)
    }
    if moved:
        frame["camera_poses"] = moved
    pairs = zip(sample.rig.cameras, sample.images, strict=True)
    taken: set[str] = set()
    frame["images"] = {
        camera.name: _copied(image, camera, folder, f"{images}/{safe_name(camera.name, taken)}")
        for camera, image in pairs
    }
    return frame


def _copied(image: Path | np.ndarray, camera: RigCamera, folder: Path, stem: str) -> str:
    suffix = ".png" if isinstance(image, np.ndarray) else image.suffix.lower()
    name = f"{stem}{suffix}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, np.ndarray):
        import cv2

        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        return name
    try:
        shutil.copyfile(image, path)
    except FileNotFoundError as error:
        raise MapLLaVAError(
            f"image '{image}' ({camera.name}), to be {name}, is missing: complete the data"
        ) from error
    return name


def _matrix(pose: np.ndarray) -> list[list[float]]:
    return np.round(pose, _DIGITS).tolist()
