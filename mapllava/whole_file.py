"""Files that appear whole or not at all, whoever reads, stops or kills in between."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
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
}


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write to the path this gives; on leaving, that file takes the place of ``path``.

    It lies in the same folder under a name of its own, is flushed to the disk before it is renamed (the
    folder after), and is removed where anything is raised; the older ``path`` is then still there. What
    a killed process has left, :func:`remove_partial_files` finds.

    Args:
        path: The file; its folder is made.

    Yields:
        A path to write to and close.

    Raises:
        MapLLaVAError: If the file cannot be written; names it.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            with partial.open("rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(partial, path)
            _flush_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        reason = f"{error.strerror or error}" + (f"; {remedy}" if remedy else "")
        raise MapLLaVAError(f"'{path}' cannot be written: {reason}") from error


def remove_partial_files(folder: str | Path) -> list[Path]:
    """Delete what :func:`whole_file` was writing in a folder when its process was killed.

    Args:
        folder: A folder that no other process writes to now.

    Returns:
        The files that were deleted.
    """
    found = [path for path in Path(folder).glob(".*.tmp") if _PARTIAL.fullmatch(path.name)]
    for path in found:
        path.unlink(missing_ok=True)
    return found


def write_json(path: str | Path, value: Any, **options: Any) -> Path:
    """Write a value as JSON.

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
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return Path(path)


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
