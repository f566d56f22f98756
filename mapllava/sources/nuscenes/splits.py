"""Which scenes belong to a split: the official lists, the field's disjoint ones, or a file of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mapllava.errors import MapLLaVAError

OFFICIAL_SPLITS = ("train", "val", "mini_train", "mini_val")
MINI_VERSION = "v1.0-mini"
TEST_VERSION = "v1.0-test"


def lists_beside(module: str) -> dict[str, Path]:
    """Splits that ship beside a module: name to a file of scene lists, with its ``source``."""
    return {path.stem: path for path in sorted(Path(module).with_name("split_lists").glob("*.json"))}


NAMED_SPLITS = lists_beside(__file__)


@dataclass(frozen=True)
class Split:
    """A named list of scenes.

    Args:
        name: What file names and printed numbers carry, e.g. ``val``.
        scenes: Scene names in order.
    """

    name: str
    scenes: tuple[str, ...]


def official_scene_names(split: str) -> list[str]:
    """Scene names of an official split, in the devkit's order.

    Args:
        split: One of :data:`OFFICIAL_SPLITS`.

    Raises:
        MapLLaVAError: If the split is not one of these.
    """
    if split not in OFFICIAL_SPLITS:
        raise MapLLaVAError(f"unknown split {split!r}: the official ones are {', '.join(OFFICIAL_SPLITS)}")
    from nuscenes.utils import splits

    return list(getattr(splits, split))


def test_scene_names() -> list[str]:
    """The scenes that nuScenes publishes in :data:`TEST_VERSION`; some of the named splits draw on them."""
    from nuscenes.utils import splits

    return list(splits.test)


def split_label(version: str, split: str) -> str:
    """The name that a split carries in file names and beside numbers; reads no file.

    Args:
        version: Version folder, e.g. ``v1.0-trainval``.
        split: What :func:`resolve_split` takes.

    Returns:
        ``train`` or ``val`` for the official ones (mini included), ``<name>-<key>`` for a named one,
        ``<stem>-<key>`` for a file.

    Raises:
        MapLLaVAError: If the split is none of these, or not of this version.
    """
    file = file_and_key(split, NAMED_SPLITS)
    if file:
        return label_of_file(*file)
    if split.startswith("mini_") and version != MINI_VERSION:
        raise MapLLaVAError(f"split {split!r} belongs to {MINI_VERSION}, not to {version}: use train or val")
    label = split.removeprefix("mini_")
    if (label == "test") != (version == TEST_VERSION) and label in ("train", "val", "test"):
        raise MapLLaVAError(
            f"unknown split {split!r} for {version}: {TEST_VERSION} has the split test and no other version; "
            "use train, val, a named split or a file of scenes there"
        )
    if label not in ("train", "val", "test"):
        raise MapLLaVAError(
            f"unknown split {split!r}: use train, val, {', '.join(f'{name}:KEY' for name in NAMED_SPLITS)}, "
            "or a file such as lists.json:val"
        )
    return label


def resolve_split(version: str, split: str) -> Split:
    """Find the scenes that a split means for a version.

    ``train`` and ``val`` mean the official lists; for ``v1.0-mini`` they mean mini_train and
    mini_val, whose own names are taken too. ``geographic_roddick:val``, or its label
    ``geographic_roddick-val``, means a list of one of :data:`NAMED_SPLITS`. ``lists.json:val`` means
    the key ``val`` of a JSON file ``{"train": [...], "val": [...]}``; ``lists.json`` alone a JSON list
    of scene names.

    Args:
        version: Version folder, e.g. ``v1.0-trainval``.
        split: A name or a file as above.

    Returns:
        The split, named as :func:`split_label` says.

    Raises:
        MapLLaVAError: If the split is unknown or does not belong to the version, or the file is
            missing, damaged, lacks the key, repeats a scene, or would carry a known split's name.
    """
    label = split_label(version, split)
    file = file_and_key(split, NAMED_SPLITS)
    if file:
        scenes = scene_list(*file)
        if file[0] not in NAMED_SPLITS.values():
            _check_label(version, label, scenes, file[0])
        return Split(label, scenes)
    if label == "test":
        return Split(label, tuple(test_scene_names()))
    return Split(label, tuple(official_scene_names(f"mini_{label}" if version == MINI_VERSION else label)))


def known_scene_names() -> set[str]:
    """Every scene that nuScenes has published, in any version."""
    return {*test_scene_names(), *(name for split in OFFICIAL_SPLITS for name in official_scene_names(split))}


def expand_split(split: str, version: str = "") -> tuple[str, ...]:
    """The splits that a user means: ``all`` is the version's, a named split alone all its lists.

    Args:
        split: What :func:`resolve_split` takes, or ``all``, or a name of :data:`NAMED_SPLITS`.
        version: Version folder; train and val but for :data:`TEST_VERSION`.

    Returns:
        What :func:`resolve_split` takes, one or several.
    """
    if split == "all":
        return ("test",) if version == TEST_VERSION else ("train", "val")
    return lists_of(split, NAMED_SPLITS)


def lists_of(split: str, named: dict[str, Path]) -> tuple[str, ...]:
    """All lists of one of the named splits; of any other split, itself."""
    if split not in named:
        return (split,)
    content = json.loads(named[split].read_text(encoding="utf-8"))
    return tuple(f"{split}:{key}" for key, value in content.items() if isinstance(value, list))


def split_source(split: str) -> str:
    """What :func:`resolve_split` takes, good in any working folder: a user's file by its absolute path."""
    file = file_and_key(split, NAMED_SPLITS)
    if not file or file[0] in NAMED_SPLITS.values():
        return split
    path, key = file
    return f"{path.resolve()}:{key}" if key else str(path.resolve())


def source_of_label(version: str, label: str, folders: Iterable[Path]) -> str:
    """What :func:`resolve_split` takes for the split that a cache's file name carries.

    Args:
        version: Version folder, e.g. ``v1.0-trainval``.
        label: What :func:`split_label` gave, e.g. ``lists-val``.
        folders: Where a user's file may lie.

    Returns:
        The label itself for a split that everyone knows; ``<folder>/lists.json:val`` where one of the
        folders has that file; else with a gap for the folder that nobody knows.
    """
    try:
        split_label(version, label)
    except MapLLaVAError:
        pass
    else:
        return label
    return list_of_label(label, folders)


def list_of_label(label: str, folders: Iterable[Path]) -> str:
    """The list in a user's JSON file whose caches are called so; has a gap for an unknown folder."""
    cuts = [k for k, letter in enumerate(label) if letter == "-"]
    names = [(f"{label}.json", ""), *((f"{label[:k]}.json", f":{label[k + 1 :]}") for k in cuts)]
    for folder in folders:
        for name, key in names:
            if (folder / name).is_file():
                return f"{(folder / name).resolve()}{key}"
    return f"<folder>/{names[-1][0]}{names[-1][1]}"


def file_and_key(split: str, named: dict[str, Path]) -> tuple[Path, str] | None:
    """JSON file and key (empty for a file of one list) that a split means; None of one without a file.

    Args:
        split: ``lists.json:val``, ``list.json``, ``NAME:KEY`` or ``NAME-KEY``.
        named: Splits that ship with the package.
    """
    head, separator, tail = split.rpartition(".json")
    if separator and (not tail or tail.startswith(":")):
        return Path(head + separator), tail[1:]
    for name, path in named.items():
        if split == name or split.startswith((f"{name}:", f"{name}-")):
            return path, split[len(name) + 1 :]
    return None


def is_of_named(label: str, named: dict[str, Path]) -> bool:
    """Whether a label is that of one of the named splits, or of a list of it."""
    return label in named or label.startswith(tuple(f"{name}-" for name in named))


def label_of_file(path: Path, key: str) -> str:
    """The name that a list of a file carries in file names and beside numbers."""
    return f"{path.stem}-{key}" if key else path.stem


def _check_label(version: str, label: str, scenes: tuple[str, ...], path: Path) -> None:
    """A file of one's own must not pass for a split that everyone knows.

    Raises:
        MapLLaVAError: If its label is that of an official or named split of other scenes.
    """
    if label not in ("train", "val", "test") and not is_of_named(label, NAMED_SPLITS):
        return
    try:
        same = set(resolve_split(version, label).scenes) == set(scenes)
    except MapLLaVAError:
        same = False
    if not same:
        raise MapLLaVAError(
            f"split file {path}: its caches and scores would be called {label!r} like a known split of other "
            "scenes; rename the file"
        )


def scene_list(path: Path, key: str) -> tuple[str, ...]:
    """A list of scenes in a JSON file.

    Args:
        path: The file: one list, or several by their keys.
        key: Which; empty for a file of one list.

    Raises:
        MapLLaVAError: If the file cannot be read, has no such list, or names a scene twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a byte order mark
    except OSError as error:
        raise MapLLaVAError(f"split file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise MapLLaVAError(f"split file {path} is not JSON: {error}") from None
    if isinstance(content, dict):
        lists = sorted(name for name, value in content.items() if isinstance(value, list))
        if key not in lists:
            raise MapLLaVAError(
                f"split file {path} has no list {key!r}: name one behind a colon: {', '.join(lists)}"
            )
        content = content[key]
    elif key:
        raise MapLLaVAError(f"split file {path} is one list and has no key {key!r}: pass {path} alone")
    if not isinstance(content, list) or not content or not all(isinstance(name, str) for name in content):
        raise MapLLaVAError(f"split file {path}: expected a non-empty list of scene names")
    if len(set(content)) != len(content):
        repeated = sorted({name for name in content if content.count(name) > 1})
        raise MapLLaVAError(f"split file {path} names scenes twice: {', '.join(repeated[:5])}")
    return tuple(content)
