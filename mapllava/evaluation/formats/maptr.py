"""MapTR's ``nuscmap_results.json``, also written by MapTRv2, MapQR and most that build on them.

``results`` is a list of ``{'sample_token', 'vectors': [{'pts', 'pts_num', 'cls_name', 'type',
'confidence_level'}]}``, lidar frame (x right, y forward), metres. MapTR's evaluator pairs it with
its ground truth by position, samples ordered by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as short
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError

TYPES = ("divider", "ped_crossing", "boundary", "centerline")
"""Class of each ``type`` in MapTR's and MapTRv2's configs."""

_MODALITY = {
    "use_lidar": False,
    "use_camera": True,
    "use_radar": False,
    "use_map": False,
    "use_external": True,
}
_SAMPLE = ("sample_token", "vectors")
_VECTOR = ("pts", "cls_name", "confidence_level")

LINE, SCORE = "vectors[{}].pts", "vectors[{}].confidence_level"
"""What the format calls a line and its score."""


def parse(body: Mapping[str, Any], name: str, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Maps by sample token, in the file's frame; coordinates are not checked yet.

    Args:
        body: The JSON object.
        name: How errors call the file.
        classes: Names in the order of our labels; found by ``cls_name``, never by ``type``.

    Returns:
        Sample token to ``points``, ``labels`` and ``scores``.

    Raises:
        MapLLaVAError: If a key is missing, a class is not among ours, or a token comes twice.
    """
    maps: dict[str, dict[str, Any]] = {}
    for number, sample in enumerate(body["results"]):
        _need(sample, _SAMPLE, f"{name}, results[{number}]")
        token, vectors = sample["sample_token"], sample["vectors"]
        if not isinstance(token, str):
            raise MapLLaVAError(
                f"{name}, results[{number}]: sample_token is {short(token)}, not a text; write the file again"
            )
        where = f"{name}, results[{number}], sample {token}"
        if token in maps:
            raise MapLLaVAError(
                f"{where}: the sample comes a second time: every sample has one map, so write the file again "
                "from one run"
            )
        if not isinstance(vectors, list):
            raise MapLLaVAError(f"{where}: 'vectors' is {short(vectors)}, not a list; write the file again")
        maps[token] = _sample_map(vectors, where, classes)
    return maps


def _sample_map(vectors: list[Any], where: str, classes: Sequence[str]) -> dict[str, Any]:
    for k, vector in enumerate(vectors):
        _need(vector, _VECTOR, f"{where}: vectors[{k}]")
        if vector["cls_name"] not in classes:
            raise MapLLaVAError(
                f"{where}: vectors[{k}].cls_name {short(vector['cls_name'])} is not among the classes "
                f"{'/'.join(classes)}: use a GT cache of the classes the model was trained on"
            )
        pts = vector["pts"]
        if not isinstance(pts, list):
            raise MapLLaVAError(
                f"{where}: vectors[{k}].pts is {short(pts)}, not a list of [x, y]; write the file again"
            )
        if "pts_num" in vector and vector["pts_num"] != len(pts):
            raise MapLLaVAError(
                f"{where}: vectors[{k}].pts_num is {short(vector['pts_num'])}, but there are {len(pts)} pts; "
                "write the file again"
            )
    return {
        "points": [vector["pts"] for vector in vectors],
        "labels": [list(classes).index(vector["cls_name"]) for vector in vectors],
        "scores": [vector["confidence_level"] for vector in vectors],
    }


def _need(value: Any, keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if not isinstance(value, Mapping) or key not in value]
    if missing:
        raise MapLLaVAError(
            f"{where} lacks {missing}: it is no results file of MapTR, or a damaged one; write the file again"
        )


def dump(maps: Iterable[tuple[str, Mapping[str, Any]]], classes: Sequence[str]) -> dict[str, Any]:
    """The JSON object for maps in the lidar frame.

    Args:
        maps: Sample token and map, in the order of time.
        classes: Names in the order of our labels.

    Raises:
        MapLLaVAError: If there is a line of a class that the format does not know.
    """
    results = []
    for token, entry in maps:
        foreign = sorted({classes[int(label)] for label in entry["labels"]} - set(TYPES))
        if foreign:
            raise MapLLaVAError(
                f"sample {token} holds lines of {foreign}; nuscmap_results.json knows {', '.join(TYPES)} only"
            )
        vectors = [
            {
                "pts": np.asarray(points).tolist(),
                "pts_num": len(points),
                "cls_name": classes[int(label)],
                "type": TYPES.index(classes[int(label)]),
                "confidence_level": float(score),
            }
            for points, label, score in zip(entry["points"], entry["labels"], entry["scores"], strict=True)
        ]
        results.append({"sample_token": token, "vectors": vectors})
    return {"meta": dict(_MODALITY), "results": results}
