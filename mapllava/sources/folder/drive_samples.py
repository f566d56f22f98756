"""The moments of a drive with ground truth: every one has images, a time and a pose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json
from mapllava.finding import FAIL, OK, WARN, Finding
from mapllava.geometry.georeference import check_ground_scale
from mapllava.geometry.lidar_frame import frame_of_lidar
from mapllava.geometry.rig_checks import check_rig
from mapllava.geometry.rigid import invert
from mapllava.sources.folder.city_file import CityFile, Drive
from mapllava.sources.folder.folder_input import FRAMES_FILE, FolderReader
from mapllava.sources.folder.rig_file import RigFile, read_rig_file
from mapllava.sources.folder.schema_check import check_against_schema
from mapllava.sources.nuscenes.tables import is_below_root
from mapllava.structures.rig import RigSample

_FASTEST = 80.0
"""Metres in a second beyond which no car drives."""
_NANOSECONDS = 10**17
"""Microseconds since 1970 as no recording has them before the year 5138."""


def read_drive(city: CityFile, drive: Drive) -> tuple[list[RigSample], list[Finding]]:
    """The samples of a drive, and all that is wrong with it.

    Args:
        city: The city that it belongs to.
        drive: The drive.

    Returns:
        The samples that can be read, in order; findings, ``place`` the drive's name.
    """
    found: list[Finding] = []
    rig, entries = None, []
    try:
        rig = read_rig_file(drive.rig)
        found += [_of(drive, finding) for finding in check_rig(rig.rig) if finding.status != OK]
        found += _for_training(drive, rig)
    except MapLLaVAError as error:
        found.append(_fault(drive, "rig", error))
    path = drive.folder / FRAMES_FILE
    try:
        entries = check_against_schema(read_json(path, "list of frames"), path, "frames")
    except MapLLaVAError as error:
        found.append(_fault(drive, "frames", error))
    if rig is None or not entries:
        return [], found
    reader = FolderReader(drive.folder, rig, check=not any(finding.status == FAIL for finding in found))
    samples = []
    for place, entry in enumerate(entries):
        try:
            sample = _sample(reader, city, entry, place)
        except MapLLaVAError as error:
            found.append(_fault(drive, "sample", error))
        else:
            samples.append(sample)
    return samples, found + _times(drive, samples) + _scale(drive, samples)


def cache_entry(city: CityFile, drive: Drive, sample: RigSample) -> dict[str, Any]:
    """A sample as a GT cache stores it, without its polylines.

    Where the rig's LiDAR is not mounted as a model knows it, or there is none, ``lidar2ego`` is that of a
    level one in its place, as prediction has it.
    """
    lidar2ego, _ = frame_of_lidar(sample.rig.lidar2ego)
    time = sample.timestamp
    cams = {
        camera.name: {
            "img_path": image.relative_to(city.root).as_posix(),  # type: ignore[union-attr]
            "cam2img": np.array(camera.cam2img, dtype=np.float64),
            "lidar2cam": invert(camera.cam2ego) @ lidar2ego,
            "timestamp": time,
        }
        for camera, image in zip(sample.rig.cameras, sample.images, strict=True)
    }
    entry = {
        "sample_token": sample.token,
        "scene_token": f"{city.name}/{drive.name}",
        "scene_name": drive.name,
        "location": drive.place,
        "timestamp": time,
        "lidar2ego": np.array(lidar2ego, dtype=np.float64),
        "ego2global": np.array(sample.ego2global, dtype=np.float64),
        "cams": cams,
    }
    return entry if sample.crs is None else {**entry, "crs": sample.crs}


def _sample(reader: FolderReader, city: CityFile, entry: dict[str, Any], place: int) -> RigSample:
    path = reader.folder / FRAMES_FILE
    where = f"'{path}', entry {place}"
    if "images" not in entry:
        raise MapLLaVAError(f"{where} names a frame of a video: write the frames as images, and name these")
    lacking = [key for key in ("timestamp", "vehicle_to_world") if key not in entry]
    if lacking:
        need = {
            "timestamp": "when it was, in microseconds",
            "vehicle_to_world": "where the car was, a pose in metres",
        }
        raise MapLLaVAError(f"{where} lacks {' and '.join(f'{key} ({need[key]})' for key in lacking)}")
    inside = reader.folder.relative_to(city.root)
    for name, file in entry["images"].items():
        if not is_below_root((inside / file).as_posix()):
            raise MapLLaVAError(f"{where}, images.{name} is '{file}', not below {city.root}: move it there")
    return reader.listed(entry, place, path)


def _for_training(drive: Drive, rig: RigFile) -> Iterator[Finding]:
    bent = [camera.name for camera in rig.rig.cameras if camera.distortion is not None]
    if bent:
        yield Finding(
            "lens", FAIL, f"{rig.path}: {', '.join(bent)} distorts, and training reads images as they are",
            "straighten the images once (cv2.undistort, cv2.fisheye.undistortImage), write the new "
            "intrinsics and leave the distortion out", drive.name,
        )  # fmt: skip


def _times(drive: Drive, samples: list[RigSample]) -> list[Finding]:
    """Time runs, and the car between two moments is no faster than one can be."""
    path = drive.folder / FRAMES_FILE
    for number, (before, after) in enumerate(itertools.pairwise(samples)):
        step = ((after.timestamp or 0) - (before.timestamp or 0)) / 1e6
        pair = f"{path}: from {before.token} to {after.token}"
        if step <= 0:
            remedy = "sort the frames by time; one folder is one drive"
            return [Finding("time", FAIL, f"{pair} time goes {-step:g} s back", remedy, drive.name)]
        way = float(np.linalg.norm(_place(after) - _place(before)))
        if way / step > _FASTEST:
            remedy = "timestamps are microseconds, poses metres; a jump in the poses is no drive"
            reason = f"{pair} the car goes {way:.1f} m in {step:g} s (step {number})"
            return [Finding("speed", FAIL, reason, remedy, drive.name)]
    if samples and (samples[0].timestamp or 0) > _NANOSECONDS:
        reason = f"{path}: timestamps such as {samples[0].timestamp} look like nanoseconds"
        return [Finding("time", WARN, reason, "timestamps are microseconds: divide them by 1000", drive.name)]
    return []


def _scale(drive: Drive, samples: list[RigSample]) -> list[Finding]:
    """A metre of the world is a metre of ground; in Web Mercator it is not."""
    if not samples or samples[0].crs is None:
        return []
    return Finding.refusals(
        "crs", "see crs and origin in rig.json", check_ground_scale, _place(samples[0])[:2], samples[0].crs
    )


def _place(sample: RigSample) -> np.ndarray:
    return np.asarray(sample.ego2global)[:3, 3]


def _of(drive: Drive, finding: Finding) -> Finding:
    return Finding(finding.name, finding.status, f"{drive.rig}: {finding.reason}", finding.remedy, drive.name)


def _fault(drive: Drive, name: str, error: MapLLaVAError) -> Finding:
    return Finding(name, FAIL, str(error), "", drive.name)
