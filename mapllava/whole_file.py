"""Files that appear whole or not at all, whoever reads, stops or kills in between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from mapllava.errors import MapLLaVAError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write to the path this gives; on leaving, that file takes the place of ``path``.

    It lies in the same folder, is flushed to the disk before it is renamed, and is removed where
    anything is raised; the older ``path`` is then still there.

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
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise MapLLaVAError(f"'{path}' cannot be written: {error.strerror or error}") from error


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


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON does not know")
