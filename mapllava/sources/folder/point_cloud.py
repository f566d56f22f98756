"""Point clouds to lay over images: nuScenes' and KITTI's binary files, NumPy arrays, PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mapllava.errors import MapLLaVAError

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_COLUMNS = {".pcd.bin": 5, ".bin": 4}


def read_points(path: str | Path) -> np.ndarray:
    """Read the places of a cloud's points.

    Args:
        path: ``.pcd.bin`` (nuScenes: five float32 a point), ``.bin`` (KITTI: four), ``.npy`` (n, 3 or more)
            or ``.ply`` (ASCII or binary).

    Returns:
        ``(n, 3)`` float64, metres in the cloud's own frame; n points, those that are not finite left out.

    Raises:
        MapLLaVAError: If the file cannot be read, or is of another kind; names it.
    """
    path = Path(path)
    try:
        points = np.asarray(_read(path), dtype=np.float64)
    except OSError as error:
        raise MapLLaVAError(f"point cloud '{path}' cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise MapLLaVAError(f"point cloud '{path}': {error}") from error
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise MapLLaVAError(f"point cloud '{path}' holds no points")
    return points


def _read(path: Path) -> np.ndarray:
    name = path.name.lower()
    for ending, columns in _COLUMNS.items():
        if name.endswith(ending):
            values = np.frombuffer(path.read_bytes(), np.float32)
            if values.size % columns:
                raise ValueError(
                    f"{values.size} numbers are no multiple of {columns}, which '{ending}' holds a point"
                )
            return values.reshape(-1, columns)[:, :3]
    if name.endswith(".npy"):
        array = np.load(path, allow_pickle=False)
        if array.ndim != 2 or array.shape[1] < 3:
            raise ValueError(f"its array is {array.shape}, not (n, 3) or wider")
        return array[:, :3]
    if name.endswith(".ply"):
        return _ply(path.read_bytes())
    raise ValueError(f"'{path.suffix}' is not read; use .pcd.bin, .bin, .npy or .ply")


def _ply(data: bytes) -> np.ndarray:
    """The vertices of a PLY file, whose element they must be the first of."""
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("it is no PLY file")
    body = data[data.index(b"\n", end) + 1 :]
    words = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    form = next((line[1] for line in words if line[:1] == ["format"]), "")
    elements = [place for place, line in enumerate(words) if line[:1] == ["element"]]
    if not elements or words[elements[0]][1] != "vertex":
        raise ValueError("its first element is not 'vertex'")
    count, until = int(words[elements[0]][2]), [*elements, len(words)][1]
    fields = [(line[2], line[1]) for line in words[elements[0] + 1 : until] if line[:1] == ["property"]]
    if not {"x", "y", "z"} <= {name for name, _ in fields}:
        raise ValueError("its vertices have no x, y and z")
    if form == "ascii":
        rows = np.array(
            [line.split()[: len(fields)] for line in body.decode("ascii").splitlines()[:count]], float
        )
        places = [[name for name, _ in fields].index(axis) for axis in "xyz"]
        return rows[:, places]
    order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(form)
    if order is None or any(kind not in _TYPES for _, kind in fields):
        raise ValueError(f"its format '{form}' or a list among its vertices' properties is not read")
    dtype = np.dtype([(name, order + _TYPES[kind]) for name, kind in fields])
    table = np.frombuffer(body, dtype, count)
    return np.stack([table[axis] for axis in "xyz"], axis=1)
