"""``submission_vector.json`` of StreamMapNet and MapTracker.

``results`` maps a sample token to ``vectors``, ``scores`` and ``labels`` (0 ped_crossing, 1 divider,
2 boundary), x forward, y left, metres. The two write the same keys about different origins: the ego
frame (StreamMapNet) and LIDAR_TOP turned by a quarter (MapTracker). StreamMapNet adds ``prop``,
MapTracker ``props`` and ``track_*``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as short
from typing import Any

import numpy as np

from mapllava.errors import MapLLaVAError

LABELS = ("ped_crossing", "divider", "boundary")
"""Class of each label in the file."""

_META = {
    "use_lidar": False,
    "use_camera": True,
    "use_radar": False,
    "use_map": False,
    "use_external": False,
    "output_format": "vector",
}
_KEYS = ("vectors", "scores", "labels")
LINE, SCORE = "vectors[{}]", "scores[{}]"
"""What the format calls a line and its score."""

_EXTRA: dict[str, tuple[str, ...]] = {
    "streammapnet": ("prop",),
    "maptracker": ("props", "track_vectors", "track_scores", "track_labels"),
}


def detect(body: Mapping[str, Any]) -> str | None:
    """``streammapnet`` or ``maptracker`` by the keys that only one of them writes, else None."""
    for entry in body["results"].values():
        if isinstance(entry, Mapping):
            for kind, extra in _EXTRA.items():
                if any(key in entry for key in extra):
                    return kind
    return None


def parse(body: Mapping[str, Any], name: str, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Maps by sample token, in the file's frame; coordinates are not checked yet.

    Args:
        body: The JSON object.
        name: How errors call the file.
        classes: Names in the order of our labels.

    Returns:
        Sample token to ``points``, ``labels`` (ours) and ``scores``.

    Raises:
        MapLLaVAError: If the file holds rasters, a key is missing, or a label is not among ours.
    """
    output = body["meta"].get("output_format") if isinstance(body.get("meta"), Mapping) else None
    if output not in (None, "vector"):
        raise MapLLaVAError(
            f"{name}: meta.output_format is {short(output)}, only vector maps can be read: write it with "
            "output_format 'vector'"
        )
    return {
        token: _sample_map(entry, f"{name}, sample {token}", classes)
        for token, entry in body["results"].items()
    }


def _sample_map(entry: Any, where: str, classes: Sequence[str]) -> dict[str, Any]:
    missing = [key for key in _KEYS if not isinstance(entry, Mapping) or key not in entry]
    if missing:
        raise MapLLaVAError(
            f"{where} lacks {missing}: it is no submission_vector.json, or a damaged one; write the "
            "file again"
        )
    if not isinstance(entry["labels"], list):
        raise MapLLaVAError(
            f"{where}: 'labels' is {short(entry['labels'])}, not a list; write the file again"
        )
    labels = []
    for k, label in enumerate(entry["labels"]):
        if isinstance(label, bool) or label not in range(len(LABELS)):
            raise MapLLaVAError(
                f"{where}: labels[{k}] is {short(label)}, not one of 0, 1, 2 ({', '.join(LABELS)}); write "
                "the file again"
            )
        if LABELS[int(label)] not in classes:
            raise MapLLaVAError(
                f"{where}: labels[{k}] is {label}, a {LABELS[int(label)]}, which is not among the classes "
                f"{'/'.join(classes)}: use a GT cache that has it"
            )
        labels.append(list(classes).index(LABELS[int(label)]))
    return {"points": entry["vectors"], "labels": labels, "scores": entry["scores"]}


def dump(maps: Iterable[tuple[str, Mapping[str, Any]]], classes: Sequence[str], kind: str) -> dict[str, Any]:
    """The JSON object for maps in the kind's frame.

    Args:
        maps: Sample token and map.
        classes: Names in the order of our labels.
        kind: ``streammapnet`` or ``maptracker``; the keys it adds are there, and say that no line
            was carried over from an earlier sample.

    Raises:
        MapLLaVAError: If there is a line of a class that the format does not know.
    """
    results = {}
    for token, entry in maps:
        names = [classes[int(label)] for label in entry["labels"]]
        foreign = sorted(set(names) - set(LABELS))
        if foreign:
            raise MapLLaVAError(
                f"sample {token} holds lines of {foreign}; submission_vector.json knows {', '.join(LABELS)} "
                "only: convert to maptr, or predict without them"
            )
        results[token] = {
            "vectors": [np.asarray(points).tolist() for points in entry["points"]],
            "scores": [float(score) for score in entry["scores"]],
            "labels": [LABELS.index(name) for name in names],
            **{key: [False] * len(names) if "prop" in key else [] for key in _EXTRA[kind]},
        }
    return {"meta": dict(_META), "results": results}
