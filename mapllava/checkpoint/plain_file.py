"""Reads a ``.pth`` file that may be damaged or hostile: nothing in it runs, a flipped bit is found."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from mapllava.checkpoint.renamed import rename_older
from mapllava.errors import MapLLaVAError


def read_plain(
    path: str | Path,
    map_location: Any = "cpu",
    mapped: bool = True,
    verify: bool = True,
    remedy: str = "copy it again from the run folder",
) -> Any:
    """Load tensors and plain values, after a look at every byte.

    ``torch.load`` does not compare the checksums that ``torch.save`` writes, so a flipped bit would
    become a wrong weight; here it is an error.

    Args:
        path: A file that ``torch.save`` has written; ``~`` is the home folder.
        map_location: Device of the tensors, as ``torch.load`` takes it.
        mapped: Map tensors into memory and read them when they are used; not for what outlives the file.
        verify: Look at every byte; without it, a look at the names and plain values is quick.
        remedy: What to do about a file that cannot be read.

    Returns:
        Its contents; weights that older versions named otherwise have the names of today.

    Raises:
        MapLLaVAError: If the file is missing, cut short, damaged, or holds more than tensors and plain
            values; names it.
    """
    path = Path(path).expanduser()
    damaged = _first_damage(path) if verify else None
    if damaged is not None:
        raise MapLLaVAError(
            f"'{path}' is damaged ({damaged}): copy it again, or take an older checkpoint of the run"
        )
    try:
        mapped = mapped and zipfile.is_zipfile(path)
        return rename_older(torch.load(path, map_location=map_location, weights_only=True, mmap=mapped))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise MapLLaVAError(
            f"'{path}' cannot be read as tensors and plain values ({type(error).__name__}: {reason}): it is "
            f"cut short, or no file of its kind, and nothing in it was run; {remedy}"
        ) from error


def is_state(value: Any) -> TypeGuard[dict[str, Tensor]]:
    """Whether it is names and tensors, and nothing else."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(entry, Tensor) for key, entry in value.items()
    )


def _first_damage(path: Path) -> str | None:
    """What is wrong with the archive, or None; torch's older format is none and has no checksums."""
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                return None
        with zipfile.ZipFile(path) as archive:
            record = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        return f"cut short? {error}, {path.stat().st_size:,} bytes"
    except OSError as error:
        raise MapLLaVAError(f"'{path}' cannot be read: {error.strerror or error}") from error
    return None if record is None else f"checksum of {record} is wrong"
