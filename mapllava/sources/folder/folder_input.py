"""A folder with ``rig.json`` as samples: one moment, sub-folders, a list of frames, or videos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json, read_json_object
from mapllava.geometry.rig_checks import refuse_rig
from mapllava.geometry.rig_names import check_file_names
from mapllava.sources.folder.rig_file import RIG_FILE, RigFile, read_rig_file
from mapllava.sources.folder.schema_check import check_against_schema
from mapllava.sources.folder.videos import VideoSet
from mapllava.structures.rig import RigInput, RigSample

FRAMES_FILE, POSE_FILE = "frames.json", "pose.json"
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".ts")


def open_input(
    path: str | Path,
    rig: str | Path | None = None,
    stride: int = 1,
    timestamps: Sequence[int] | None = None,
    check: bool = True,
) -> RigInput:
    """Open one's own recording.

    Args:
        path: The folder, or its ``rig.json``.
        rig: The ``rig.json``, where it lies elsewhere.
        stride: Every how many-th moment is given: frame of a video, sub-folder, entry of the list.
        timestamps: Of videos, in place of ``stride``: microseconds since their beginning; each gives the
            frame that is shown then.
        check: Whether a rig is refused that cannot be, and files that bear another camera's name.

    Returns:
        The input; images are looked for now and read later, frames are decoded while one iterates.

    Raises:
        MapLLaVAError: If the rig is missing, does not fit the schema, or fails one of its checks; if images
            are missing, or videos differ in length or frame rate.
    """
    path = Path(path)
    folder = path.parent if path.is_file() else path
    if not folder.is_dir():
        raise MapLLaVAError(f"'{folder}' is no folder: name the one that holds {RIG_FILE} and the images")
    where = Path(rig) if rig is not None else path if path.is_file() else folder / RIG_FILE
    if not where.is_file():
        _refuse_data_sets(folder)
    file = read_rig_file(where)
    if check:
        refuse_rig(file.rig)
    if stride < 1:
        raise MapLLaVAError(f"stride is {stride}: it counts moments and is at least 1")
    return FolderReader(folder, file, check).opened(stride, timestamps)


class NoMomentsError(MapLLaVAError):
    """A folder holds a rig and nothing that it saw."""


class FolderReader:
    """The moments that a folder holds.

    Args:
        folder: Where images and videos lie.
        file: The rig.
        check: Whether to refuse what cannot be.
    """

    def __init__(self, folder: Path, file: RigFile, check: bool) -> None:
        self.folder = folder
        self.check = check
        self.file = file
        self.names = [camera.name for camera in file.rig.cameras]

    def opened(self, stride: int, timestamps: Sequence[int] | None) -> RigInput:
        """The folder as an input."""
        frames = self.folder / FRAMES_FILE
        if frames.is_file():
            entries = check_against_schema(read_json(frames, "list of frames"), frames, "frames")
            if any("frame" in entry for entry in entries):
                return self._of_videos(self._needed(self._videos()), entries, None, stride)
            return self._of_images(list(self._listed(entries, frames))[::stride])
        videos, one = self._videos(), self._one_moment()
        moments = self._moments(one)
        ways = {
            "videos of the cameras": videos,
            "images of one moment": one,
            "sub-folders of moments": moments,
        }
        there = [way for way, found in ways.items() if found]
        if len(there) > 1:
            raise MapLLaVAError(
                f"'{self.folder}' holds {' as well as '.join(there)}: move one of them elsewhere, or list "
                f"what is meant in {FRAMES_FILE}"
            )
        if videos:
            return self._of_videos(videos, None, timestamps, stride)
        if timestamps is not None:
            raise MapLLaVAError(f"'{self.folder}' holds no videos, and timestamps choose among their frames")
        if moments:
            return self._of_images([self._moment(folder) for folder in moments][::stride])
        if not one and not any(self.file.images.values()):
            raise NoMomentsError(
                f"'{self.folder}' holds neither images nor videos of the cameras {', '.join(self.names)}: "
                "name the "
                f"files like the cameras ({self.names[0]}.jpg), or write image or video into {self.file.path}"
            )
        return self._of_images([self._moment(self.folder, one=True)])

    def _of_images(self, samples: list[RigSample]) -> RigInput:
        self._check_tokens([sample.token for sample in samples])
        return RigInput(self.file.rig, str(self.folder), len(samples), lambda: iter(samples))

    def _of_videos(
        self,
        paths: Mapping[str, Path],
        entries: list[dict[str, Any]] | None,
        timestamps: Sequence[int] | None,
        stride: int,
    ) -> RigInput:
        videos = VideoSet({camera: paths[camera.name] for camera in self.file.rig.cameras})
        alone = videos.count == 1 if entries is None else len(entries) == 1
        if entries is not None:
            entries = entries[::stride]
        else:
            wanted = videos.at(timestamps) if timestamps is not None else list(range(0, videos.count, stride))
            entries = [{"frame": number} for number in wanted]
        numbers = [entry.get("frame", -1) for entry in entries]
        if numbers != sorted(set(numbers)) or not numbers[0] >= 0 or numbers[-1] >= videos.count:
            raise MapLLaVAError(
                f"'{self.folder / FRAMES_FILE}': frame must rise from entry to entry, below "
                f"{videos.count}, the "
                f"length of the videos; found {numbers[:8]}"
            )
        samples = [
            self._sample(entry, f"{self.folder.name}_{entry['frame']:06d}", (), f"entry {place}", alone)
            for place, entry in enumerate(entries)
        ]
        self._check_tokens([sample.token for sample in samples])

        def read() -> Iterator[RigSample]:
            for sample, (time, images) in zip(samples, videos.frames(numbers), strict=True):
                yield replace(
                    sample, images=images, timestamp=time if sample.timestamp is None else sample.timestamp
                )

        return RigInput(self.file.rig, str(self.folder), len(samples), read)

    def _listed(self, entries: list[dict[str, Any]], path: Path) -> Iterator[RigSample]:
        for place, entry in enumerate(entries):
            yield self.listed(entry, place, path, len(entries) == 1)

    def listed(self, entry: Mapping[str, Any], place: int, path: Path, alone: bool = False) -> RigSample:
        """A moment of ``frames.json``.

        Args:
            entry: As the schema has it, with images.
            place: Its number in the list.
            path: The list, for messages.
            alone: Whether it is the only one, whose car may stand at the world's origin unsaid.

        Raises:
            MapLLaVAError: If images are missing or a pose cannot be; names entry and key.
        """
        where = f"'{path}', entry {place}"
        if set(entry["images"]) != set(self.names):
            missing, extra = (
                set(self.names) - set(entry["images"]),
                set(entry["images"]) - set(self.names),
            )
            told = [f"lacks {', '.join(sorted(missing))}"] if missing else []
            told += [f"has {', '.join(sorted(extra))}, no camera of the rig"] if extra else []
            raise MapLLaVAError(f"{where}, images {' and '.join(told)}: one file for each camera of the rig")
        images = tuple(self.folder / entry["images"][name] for name in self.names)
        self._check_there(images, where)
        return self._sample(entry, f"{self.folder.name}_{place:06d}", images, where, alone)

    def _moment(self, folder: Path, one: bool = False) -> RigSample:
        path = folder / POSE_FILE
        entry = (
            check_against_schema(read_json_object(path, "pose file"), path, "moment")
            if path.is_file()
            else {}
        )
        images = tuple(self._image(folder, name, one) for name in self.names)
        self._check_there(images, f"'{folder}'")
        scene = "" if one else self.folder.resolve().name
        return self._sample(
            {"scene": scene, **entry}, folder.resolve().name, images, f"'{path if entry else folder}'", one
        )

    def _sample(
        self, entry: Mapping[str, Any], token: str, images: tuple[Path, ...], where: str, alone: bool
    ) -> RigSample:
        """A moment; only a car that is seen once may stand at the world's origin unsaid."""
        file, pose = self.file, entry.get("vehicle_to_world")
        ego2global = (
            file.ego2global(pose, f"{where}, vehicle_to_world") if pose is not None or alone else None
        )
        if file.crs is not None and ego2global is None:
            need = "and this moment has no vehicle_to_world"
            remedy = "write origin.heading, the car's own direction," if alone and not file.heading else ""
            raise MapLLaVAError(
                f"{where}: {file.path} says where on earth the world lies, {need}; "
                f"{remedy or 'write the pose'} "
                f"{'or the pose ' if remedy else ''}(pose.json, frames.json), or leave crs and origin out"
            )
        rig = (
            file.moved(entry["camera_poses"], f"{where}, camera_poses")
            if "camera_poses" in entry
            else file.rig
        )
        if rig is not file.rig and self.check:
            refuse_rig(rig)
        sample = RigSample(
            token=entry.get("token", token),
            rig=rig,
            images=images,
            scene=entry.get("scene", ""),
            timestamp=entry.get("timestamp"),
            ego2global=ego2global,
            crs=file.crs,
        )
        for finding in check_file_names(sample) if images and self.check else ():
            raise MapLLaVAError(f"{where}: {finding.reason}; {finding.remedy}")
        return sample

    def _image(self, folder: Path, name: str, one: bool) -> Path:
        """A camera's image of a moment: the one that the rig names, and no other in its place."""
        written, found = self.file.images[name], _named(folder, name, IMAGES)
        if written is not None:
            return self._from_rig(written, name, found) if one else folder / written
        if len(found) > 1:
            raise MapLLaVAError(
                f"'{folder}' holds {' and '.join(p.name for p in found)}; leave one for camera {name}"
            )
        return found[0] if found else folder / f"{name}.jpg"

    def _from_rig(self, written: str, name: str, named: Sequence[Path]) -> Path:
        """A file as the rig names it, from its own folder on; ``named`` are those with the camera's name."""
        path = self.file.path.parent / written
        if named and self.file.path.parent.resolve() != self.folder.resolve():
            raise MapLLaVAError(
                f"'{self.folder}' holds {named[0].name}, and {self.file.path} names '{path}' for camera "
                f"{name}: take that key out of the rig where the folder's own file is meant"
            )
        return path

    def _one_moment(self) -> list[Path]:
        """The images of the one moment that are there."""
        return [path for name in self.names if (path := self._image(self.folder, name, True)).is_file()]

    def _moments(self, one: Sequence[Path]) -> list[Path]:
        """Sub-folders with images, in natural order; not those that hold the images of the one moment."""
        taken = {folder for path in one for folder in path.resolve().parents}
        folders = [
            folder for folder in self.folder.iterdir() if folder.is_dir() and folder.resolve() not in taken
        ]
        return [folder for folder in sorted(folders, key=_natural) if self._holds_images(folder)]

    def _holds_images(self, folder: Path) -> bool:
        return any(
            _named(folder, name, IMAGES) or (written and (folder / written).is_file())
            for name, written in self.file.images.items()
        )

    def _videos(self) -> dict[str, Path]:
        """The cameras' videos; empty where no camera has one."""
        found = {}
        for name in self.names:
            written = self.file.videos[name]
            named = _named(self.folder, name, VIDEOS)
            named = [self._from_rig(written, name, named)] if written else named
            if len(named) > 1:
                raise MapLLaVAError(
                    f"'{self.folder}' holds {' and '.join(p.name for p in named)}; leave one for camera "
                    f"{name}"
                )
            if named:
                found[name] = named[0]
        if found:
            self._check_there(
                tuple(found.get(name, self.folder / f"{name}.mp4") for name in self.names), "the videos"
            )
        return found

    def _needed(self, videos: dict[str, Path]) -> dict[str, Path]:
        if not videos:
            raise MapLLaVAError(
                f"'{self.folder / FRAMES_FILE}' counts frames, and no camera has a video there"
            )
        return videos

    def _check_there(self, paths: Sequence[Path], where: str) -> None:
        missing = {name: path for name, path in zip(self.names, paths, strict=True) if not path.is_file()}
        if missing:
            listed = ", ".join(f"{name} ({path})" for name, path in missing.items())
            raise MapLLaVAError(
                f"{where}: no file for {listed}; every camera of {self.file.path.name} needs one: add it, "
                "or take the "
                "camera out of the rig"
            )

    def _check_tokens(self, tokens: list[str]) -> None:
        twice = sorted(token for token, times in Counter(tokens).items() if times > 1)
        if twice:
            raise MapLLaVAError(f"'{self.folder}': two moments have the token {twice[0]}; give each its own")


def _refuse_data_sets(folder: Path) -> None:
    """A data set has no ``rig.json`` and needs none; say how it is opened."""
    if any(folder.glob("*/sample_data.json")):
        raise MapLLaVAError(
            f"'{folder}' is a nuScenes data set: name a sample by its token or a scene by name (--sample, "
            "--scene)"
        )
    if any(folder.glob("city_SE3_egovehicle.feather")) or any(folder.glob("calibration/*.feather")):
        raise MapLLaVAError(
            f"'{folder}' is a log of Argoverse 2, which is not read yet: write its calibration into a "
            f"{RIG_FILE} beside the images, after the example that 'mapllava rig export' writes"
        )


def _named(folder: Path, stem: str, suffixes: Sequence[str]) -> list[Path]:
    found = (folder / f"{stem}{ending}" for suffix in suffixes for ending in (suffix, suffix.upper()))
    return [path for path in found if path.is_file()]


def _natural(path: Path) -> list[Any]:
    """Sorts 10 behind 9."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", path.name)
        if part
    ]
