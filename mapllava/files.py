"""Files that appear whole or not at all, whoever reads, stops or kills in between; and JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from mapllava.errors import MapLLaVAError

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


_REMEDIES = {
    errno.ENOSPC: "make room on that disk; the older file is untouched",
    errno.EDQUOT: "your quota there is used up: make room; the older file is untouched",
    errno.EFBIG: "the file is larger than the limit (ulimit -f); the older file is untouched",
    errno.EROFS: "it is mounted read-only: choose another folder",
    errno.EACCES: "give yourself the right to write there, or choose another folder",
    errno.EPERM: "give yourself the right to write there, or choose another folder",
    errno.ENOTEMPTY: "it exists and is not empty: name another folder, or remove it",
}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file, or make a folder, at the path this gives; on leaving, it takes the place of ``path``.

    It lies in the same folder under a name of its own, a file is flushed to the disk before it is renamed
    (the folder after), and it is removed where anything is raised; the older ``path`` is then still there.
    What a killed process has left, :func:`remove_partial_files` finds.

    Args:
        path: The file, or the folder, which must be absent or empty in the end; its parent is made.

    Yields:
        A path to write to and close.

    Raises:
        MapLLaVAError: If it cannot be written, or is a folder that is filled meanwhile; names it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            if partial.is_file():
                with partial.open("rb+") as stream:
                    os.fsync(stream.fileno())
            os.replace(partial, path)
            _flush_folder(path.parent)
        finally:
            _remove(partial)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def stream_text(path: str | Path) -> Iterator[Callable[[str], None]]:
    """As :func:`atomic_write`, for a text that grows while other work goes on.

    What that work raises passes unchanged, and leaves the older file.

    Args:
        path: The file; its folder is made.

    Yields:
        A function that adds a text to the file.

    Raises:
        MapLLaVAError: If it cannot be written; names it.
    """

    def write(text: str) -> None:
        try:
            stream.write(text)
        except OSError as error:
            raise cannot_write(path, error) from error

    try:
        with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
            try:
                yield write
            except OSError as error:
                raise _CarriedError(error) from error
    except _CarriedError as carried:
        raise carried.args[0] from None


class _CarriedError(Exception):
    """An OSError of somebody else, past atomic_write, which would take it for its own."""


def cannot_write(path: str | Path, error: OSError) -> MapLLaVAError:
    """The error to raise for a failed write: the path, why, and the remedy."""
    remedy = _REMEDIES.get(error.errno or 0)
    reason = f"{error.strerror or error}" + (f"; {remedy}" if remedy else "")
    return MapLLaVAError(f"'{path}' cannot be written: {reason}")


def remove_partial_files(folder: str | Path, of: str | None = None) -> list[Path]:
    """Delete what :func:`atomic_write` was writing in a folder when its process was killed.

    Args:
        folder: A folder that no other process writes to now.
        of: Only of the file or folder of this name.

    Returns:
        The files and folders that were deleted.
    """
    beginning = "." if of is None else f".{of}."
    found = [
        path
        for path in Path(folder).glob(".*.tmp")
        if _PARTIAL.fullmatch(path.name) and path.name.startswith(beginning)
    ]
    for path in found:
        _remove(path)
    return found


def safe_name(text: str, taken: set[str] | None = None, limit: int = 100) -> str:
    """A text as the name of a file: one part of a path, whatever it holds.

    Args:
        text: For instance a token, which may hold any sign, also ``/`` and ``..``.
        taken: Names that are in use; the one given back differs from them and is added.
        limit: Most bytes before what makes it differ; file systems take 255, with the suffix.

    Returns:
        Letters, digits, ``_``, ``.`` and ``-``, no dot in front, never empty.
    """
    name = re.sub(r"[^\w.-]+", "_", text).lstrip(".").encode()[:limit].decode(errors="ignore") or "sample"
    if taken is not None:
        stem, number = name, 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
    return name


def write_json(path: str | Path, value: Any, **options: Any) -> Path:
    """Write a value as JSON, whole or not at all.

    Args:
        path: The file; its folder is made.
        value: Builtins; NumPy's and PyTorch's single numbers become plain ones.
        options: Of :func:`json.dumps`; two spaces of indentation unless ``indent`` says otherwise.

    Returns:
        The path.

    Raises:
        MapLLaVAError: If the file cannot be written; names it.
        TypeError: If a value has no form in JSON.
        ValueError: If a number is not finite and ``allow_nan`` is False.
    """
    text = json.dumps(value, **{"indent": 2, "default": _plain, **options})
    with atomic_write(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def read_json(path: str | Path, what: str = "file") -> Any:
    """Read JSON in which no object has a key twice; see :func:`read_json_object`.

    Args:
        path: The file.
        what: What it is, for the message.

    Raises:
        MapLLaVAError: If the file cannot be read, is not JSON, or an object in it has a key twice.
    """
    path = Path(path)
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except OSError as error:
        raise MapLLaVAError(f"{what} '{path}' cannot be read: {error.strerror}") from error
    except _TwiceError as error:
        raise MapLLaVAError(
            f"{what} '{path}' holds the key {error.args[0]!r} twice: write the file again from one run, or "
            "take one of the two out"
        ) from error
    except (ValueError, RecursionError) as error:
        raise MapLLaVAError(f"{what} '{path}' is not JSON ({error}); write it again") from error
    return body


def read_json_object(path: str | Path, what: str = "file") -> dict[str, Any]:
    """Read a JSON object in which no key comes twice.

    ``json`` keeps the last of two equal keys and says nothing; two maps for one sample would become
    one. Here that is an error. A byte order mark, which some editors write, is left out.

    Args:
        path: The file.
        what: What it is, for the message.

    Raises:
        MapLLaVAError: If the file cannot be read, is not JSON, holds no object, or an object in it
            has a key twice; names the file, and the key with its remedy.
    """
    body = read_json(path, what)
    if not isinstance(body, dict):
        raise MapLLaVAError(f"{what} '{path}' must hold a JSON object, not a {type(body).__name__}")
    return body


class _TwiceError(ValueError):
    """A key that comes twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Without this, a power cut can undo the renaming; some network file systems know no such call."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON does not know")
