"""Writing a GT cache atomically, and reading it without trusting it."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write
from mapllava.gt_cache.schema import (
    FORMAT_VERSION,
    changed_tables,
    check_content,
    fingerprint,
    folder_beside,
    rebuild_command,
    source_of,
    spec_of,
)
from mapllava.sources.map_source import map_source
from mapllava.structures.frames import MapSpec

# A dtype's state is the tuple (version, byte order, None, None, None, -1, -1, flags). In a pickle the order
# is a text of length 1 (written 01, or 01 00 00 00), perhaps a memo opcode (94, q and a byte, or r and four),
# then N three times and J with -1 twice. Looked for in the bytes: the unpickler does not see what it sets.
_FOREIGN_ORDER = re.compile(
    rb"\x01\x00{0,3}%s(?:\x94|q.|r.{4})?NNNJ\xff{4}J\xff{4}" % (b">" if sys.byteorder == "little" else b"<"),
    re.DOTALL,
)
"""The state of a dtype of the other byte order, as pickle protocols 1 to 4 write it. The admitted dtypes take
no state, so that such an array would be read with its bytes in the wrong order."""
_DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


_MARK = b"sha256:"
_CHECKSUM_LENGTH = len(_MARK) + hashlib.sha256().digest_size


class _ArrayKind:
    """Stand-in for the name ``numpy.ndarray``: can be passed on, but neither called nor changed."""

    __slots__ = ()


class _EmptyArray:
    """Stand-in for numpy's ``_reconstruct``: an empty plain array, filled by its state afterwards."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: tuple[int, ...], code: bytes) -> np.ndarray:
        if not isinstance(kind, _ArrayKind) or shape != (0,) or code != b"b":
            raise pickle.UnpicklingError(f"an array of kind {kind!r}, shape {shape!r} is not admitted")
        return np.ndarray((0,), dtype="b")


class _NumericDtype:
    """Stand-in for ``numpy.dtype``: plain numbers only."""

    __slots__ = ()

    def __call__(self, code: str, align: bool = False, copy: bool = True) -> np.dtype:
        if not isinstance(code, str) or code not in _DTYPES:
            raise pickle.UnpicklingError(f"arrays of type {code!r} are not admitted")
        return np.dtype(code)


class _Unpickler(pickle.Unpickler):
    """Admits builtin containers and plain numeric arrays; refuses any other name.

    What a name stands for has no attributes, so that no file can change it for the next one.
    """

    _ADMITTED: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _ArrayKind(),
        ("numpy", "dtype"): _NumericDtype(),
        ("numpy.core.multiarray", "_reconstruct"): _EmptyArray(),
        ("numpy._core.multiarray", "_reconstruct"): _EmptyArray(),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not admitted") from None


def seal(data: bytes) -> bytes:
    """What stands behind a pickle in its file: a mark and the SHA-256 of the pickle."""
    return _MARK + hashlib.sha256(data).digest()


def dump_plain(path: Path, value: Any) -> None:
    """Write builtins and arrays, and their checksum behind them, to a file that appears whole or not at all.

    Raises:
        MapLLaVAError: If the file cannot be written.
    """
    data = pickle.dumps(value, protocol=4)
    with atomic_write(path) as partial, partial.open("wb") as stream:
        stream.write(data)
        stream.write(seal(data))  # a pickle ends where it says, so that others can read the file as well


def load_plain(path: Path) -> Any:
    """Read what :func:`dump_plain` wrote; nothing but builtins and numeric arrays comes out.

    Raises:
        ValueError: If the file is truncated, damaged (by a single bit even), holds arrays of the other byte
            order, or asks for anything else.
        OSError: If it cannot be read.
    """
    stored = path.read_bytes()
    data, checksum = stored[:-_CHECKSUM_LENGTH], stored[-_CHECKSUM_LENGTH:]
    if not checksum.startswith(_MARK):
        raise ValueError("truncated, not a cache, or of a release that wrote no checksum at its end")
    if checksum != seal(data):
        raise ValueError("its checksum is wrong: it has changed since it was written, by a bit at least")
    if _FOREIGN_ORDER.search(data):
        raise ValueError(
            f"it holds arrays whose byte order is not this machine's ({sys.byteorder}-endian); write them "
            "with array.astype(array.dtype.newbyteorder('='))"
        )
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise ValueError(f"truncated, damaged or not a cache ({detail})") from error


def save(path: str | Path, content: dict[str, Any]) -> None:
    """Check a cache and write it atomically.

    Args:
        path: Target, ``gt_cache_<version>_<split>.pkl``.
        content: ``{'metainfo', 'data_list'}``.

    Raises:
        MapLLaVAError: If the content is not a valid cache, or the file cannot be written.
    """
    path = Path(path)
    try:
        check_content(content)
        dump_plain(path, content)
    except ValueError as error:
        raise MapLLaVAError(f"refusing to write {path}: {error}") from error


def load(
    path: str | Path,
    expected: MapSpec | None = None,
    split: str | None = None,
    version: str | None = None,
    dataroot: str | Path | None = None,
    check_sources: bool = True,
) -> dict[str, Any]:
    """Read a cache, or refuse it with the command that rebuilds it.

    Args:
        path: The cache file.
        expected: Frame, ROI and classes it must have.
        split: Split it must hold, e.g. ``val``.
        version: Version it must be of, e.g. ``v1.0-mini``.
        dataroot: Where the source tables lie, to tell whether they have changed. Without it the
            cache's grandparent folder is tried, then the root it was built from.
        check_sources: False to read a cache whose source tables have changed, as a tool that
            compares or repairs caches must.

    Returns:
        ``{'metainfo', 'data_list'}`` of builtins and numpy arrays.

    Raises:
        MapLLaVAError: If the file is missing, damaged, hostile, of another format, frame, ROI,
            classes, split or version, or older than the source tables.
    """
    path = Path(path).expanduser()
    wanted = {"version": version, "split": split, "dataroot": dataroot and str(dataroot)}
    try:
        content = load_plain(path)
        metainfo = content.get("metainfo") if isinstance(content, dict) else None
        known = metainfo if isinstance(metainfo, dict) else {}
        if known.get("format_version", FORMAT_VERSION) != FORMAT_VERSION:
            raise ValueError(f"its format is {known['format_version']}, this release reads {FORMAT_VERSION}")
        check_content(content)
    except FileNotFoundError:
        raise MapLLaVAError(
            f"GT cache {path} does not exist. Build it:\n  {rebuild_command(path, wanted, expected)}"
        ) from None
    except OSError as error:
        raise MapLLaVAError(f"GT cache {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        command = rebuild_command(path, wanted, expected)
        raise MapLLaVAError(f"GT cache {path} is refused: {error}. Rebuild it:\n  {command}") from error
    problem = _mismatch(known, split, version)
    if not problem and fingerprint(known) != known["fingerprint"]:
        problem = "its fingerprint does not fit its own metainfo"
    if not problem and check_sources:
        problem = stale_reason(known, path, dataroot)
    other = "" if expected is None else _other_map(known, expected)
    if other and expected is not None and not problem:  # a sound cache, which other configs may use
        beside = folder_beside(path, known, expected)
        command = rebuild_command(
            path, {**known, "dataroot": dataroot or known["dataroot"]}, expected, beside
        )
        raise MapLLaVAError(
            f"GT cache {path} is refused: {other}. Build the wanted one beside it and set ann_file to "
            f"{beside / path.name}:\n  {command}"
        )
    problem = problem or other
    if problem:
        merged = {key: wanted.get(key) or value for key, value in known.items()}
        if split is not None:
            merged["split_source"] = split
        command = rebuild_command(path, merged, expected or spec_of(known))
        raise MapLLaVAError(f"GT cache {path} is refused: {problem}. Rebuild it:\n  {command}")
    return content


def _mismatch(known: dict[str, Any], split: str | None, version: str | None) -> str:
    if version is not None and known["version"] != version:
        return f"it holds version {known['version']}, not {version}"
    kind = map_source(source_of(known))
    if split is not None and known["split"] != kind.split_label(known["version"], split):
        return f"it holds the split {known['split']}, not {split}"
    return ""


def _other_map(known: dict[str, Any], expected: MapSpec) -> str:
    """How the map differs from the wanted one; empty if it does not."""
    for key, value in expected.to_config().items():
        if known[key] != value:
            return f"its {key} is {known[key]}, the config wants {value}"
    return ""


def stale_reason(metainfo: Mapping[str, Any], path: str | Path, dataroot: str | Path | None = None) -> str:
    """Why a cache is to be built again: an earlier release built it otherwise, or source tables have changed.

    Args:
        metainfo: Of the cache.
        path: Its file.
        dataroot: Where the tables lie, as :func:`load` takes it.

    Returns:
        Half a sentence that says so, and names the tables; empty if it is current, or no tables are at hand.
    """
    outdated = map_source(source_of(metainfo)).outdated(metainfo["map_version"])
    if outdated:
        return outdated
    roots = [dataroot] if dataroot is not None else [Path(path).resolve().parent.parent, metainfo["dataroot"]]
    for root in map(Path, roots):
        if any((root / name).is_file() for name in metainfo["tables"]):
            changed = changed_tables(metainfo, root)
            return f"the source tables {', '.join(changed)} in {root} have changed since" if changed else ""
    return ""
