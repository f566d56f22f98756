"""Every place of a results file, damaged in turn: it is read, or refused with the file's name."""

import copy
import json
import sys

import numpy as np
import pytest

from mapllava.errors import MapLLaVAError
from mapllava.evaluation import MapResults, score_results
from mapllava.evaluation.formats import KINDS, read_results, write_results
from mapllava.structures import MapSpec

POINTS = np.array([[2.0, 10.0], [2.0, 20.0]])
ENTRY = {
    "sample_token": "late",
    "timestamp": 1,
    "scene_name": "scene-1",
    "lidar2ego": np.eye(4),
    "ego2global": np.eye(4),
    "polylines": [{"label": 0, "points": POINTS, "closed": False}],
}
CACHE = {
    "metainfo": {**MapSpec().to_config(), "split": "val", "version": "v1.0-mini"},
    "data_list": [ENTRY],
}
DEEP = [0.0]
for _ in range(100):
    DEEP = [DEEP]
NUMBERS = (5, -1, 0.5, 10**400, float("nan"), float("inf"))
VALUES = (*NUMBERS, True, "x", "", None, [], {}, [[]], [5], ["x"], {"x": 5}, DEEP)


def places(body, path=()):
    """Every key and index of a body, at every depth."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged(body):
    """Description and body: a value exchanged, left out, or one level deeper."""
    for path in places(body):
        for change in (*VALUES, "deeper", "gone"):
            out = copy.deepcopy(body)
            *parents, key = path
            node = out
            for parent in parents:
                node = node[parent]
            if change == "gone":
                del node[key]
            else:
                node[key] = [node[key]] if change == "deeper" else change
            yield f"{path} {str(change)[:20]}", out


@pytest.mark.parametrize(("kind", "told"), [*((kind, None) for kind in KINDS), ("maptracker", "maptracker")])
def test_read_or_refused_with_the_files_name(kind, told, tmp_path):
    maps = {"late": {"points": [POINTS], "labels": [0], "scores": [0.9]}}
    good = write_results(tmp_path / "good.json", MapResults(MapSpec(), "val", maps), kind, CACHE)
    path, read, refused = tmp_path / "damaged.json", 0, []
    for what, body in damaged(json.loads(good.read_text())):
        path.write_text(json.dumps(body))
        try:
            score_results(read_results(path, CACHE, told), CACHE)
            read += 1
        except MapLLaVAError as error:
            refused.append(f"{what}: {error}")
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert len(refused) > read > 0
    assert not [text for text in refused if f"'{path}'" not in text or len(text) > 600 + len(str(path))]


@pytest.mark.parametrize(
    "text", ["", "{", '{"results": [' * 3, "[" * 100_000, '{"results": 1' + "0" * 5000 + "}", "\x00"]
)
def test_what_is_no_json_is_refused(text, tmp_path):
    path = tmp_path / "damaged.json"
    path.write_text(text)
    assert sys.getrecursionlimit() < 100_000
    with pytest.raises(MapLLaVAError, match=r"damaged\.json"):
        read_results(path, CACHE)
    path.write_bytes(b'{"results": "\xff"}')
    with pytest.raises(MapLLaVAError, match=r"damaged\.json.*is not JSON.*write it again"):
        read_results(path, CACHE)
