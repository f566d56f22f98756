"""Which logs belong to a split of Argoverse 2: official, disjoint, or from a user's file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mapllava.errors import MapLLaVAError
from mapllava.sources.nuscenes import splits as scene_files
from mapllava.sources.nuscenes.splits import Split

OFFICIAL_SPLITS = ("train", "val", "test")
NAMED_SPLITS = scene_files.lists_beside(__file__)
LEFT_OUT = ("75e8adad", "54bc6dbc", "af170aac", "6e106cf8", "01bb304d", "453e5558")
"""Beginnings of the ids of logs that everyone leaves out: by the data set's own word the map of the first
four is out of date; the published converters fail on the other two."""


def split_label(split: str) -> str:
    """The name that a split carries in file names and beside numbers; reads no file.

    Raises:
        MapLLaVAError: If it is none.
    """
    if split in OFFICIAL_SPLITS:
        return split
    if split.endswith(".txt"):
        return Path(split).stem
    file = scene_files.file_and_key(split, NAMED_SPLITS)
    if file:
        return scene_files.label_of_file(*file)
    raise MapLLaVAError(
        f"unknown split {split!r} of Argoverse 2: use {', '.join(OFFICIAL_SPLITS)}, "
        f"{', '.join(f'{name}:KEY' for name in NAMED_SPLITS)}, a file LOGS.txt with a log's id in each line, "
        "or FILE.json:KEY"
    )


def resolve_split(split: str) -> Split:
    """Find the logs that a split means.

    Args:
        split: ``train``, ``val`` or ``test``, or a list of one of :data:`NAMED_SPLITS`,
            ``near_extrapolation:val``, less :data:`LEFT_OUT`; ``logs.txt`` with an id in each line, the form
            in which the field publishes splits; ``lists.json:val``, ``list.json``.

    Raises:
        MapLLaVAError: If the split is unknown, or the file is missing, empty, names a log twice, or would
            carry a known split's name.
    """
    label = split_label(split)
    if split in OFFICIAL_SPLITS:
        return _usable(label, _official(split))
    if split.endswith(".txt"):
        path, logs = Path(split), _from_text(Path(split))
    else:
        path, key = scene_files.file_and_key(split, NAMED_SPLITS) or (Path(split), "")
        logs = scene_files.scene_list(path, key)
        if path in NAMED_SPLITS.values():
            return _usable(label, logs)
    if _is_known(label):
        raise MapLLaVAError(
            f"split file {path}: its caches and scores would be called {label!r} like a known split; "
            "rename the file, for instance after the split's authors"
        )
    return Split(label, logs)


def _usable(label: str, logs: Iterable[str]) -> Split:
    return Split(label, tuple(log for log in logs if not log.startswith(LEFT_OUT)))


def _is_known(label: str) -> bool:
    """Whether everyone has a split of this label."""
    return label in OFFICIAL_SPLITS or scene_files.is_of_named(label, NAMED_SPLITS)


def expand_split(split: str) -> tuple[str, ...]:
    """The splits that a user means: ``all`` is train and val, a named split alone all its lists."""
    return ("train", "val") if split == "all" else scene_files.lists_of(split, NAMED_SPLITS)


def _official(split: str) -> tuple[str, ...]:
    try:
        from av2.datasets.sensor import splits
    except ImportError as error:
        raise MapLLaVAError(f"the package av2 is missing ({error}): pip install 'mapllava[av2]'") from error
    return getattr(splits, split.upper())


def _from_text(path: Path) -> tuple[str, ...]:
    try:
        logs = tuple(path.read_text(encoding="utf-8-sig").split())
    except OSError as error:
        raise MapLLaVAError(f"split file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise MapLLaVAError(f"split file {path} is no text: {error}") from None
    repeated = sorted({log for log in logs if logs.count(log) > 1})
    if not logs or repeated:
        what = f"names logs twice: {', '.join(repeated[:3])}" if logs else "is empty"
        raise MapLLaVAError(f"split file {path} {what}; it has a log's id in each line")
    return logs


def split_source(split: str) -> str:
    """What :func:`resolve_split` takes, good in any working folder: a user's file by its absolute path."""
    if split.endswith(".txt"):
        return str(Path(split).resolve())
    return split if _is_known(split_label(split)) else scene_files.split_source(split)


def source_of_label(label: str, folders: Iterable[Path]) -> str:
    """What :func:`resolve_split` takes for the split that a cache's file name carries.

    Args:
        label: What :func:`split_label` gave.
        folders: Where a user's file may lie.
    """
    if _is_known(label):
        return label
    folders = list(folders)
    for folder in folders:
        if (folder / f"{label}.txt").is_file():
            return str((folder / f"{label}.txt").resolve())
    return scene_files.list_of_label(label, folders)
