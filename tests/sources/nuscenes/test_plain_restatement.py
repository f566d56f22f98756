"""The same lines as the benchmark's plain way, which rebuilds every polygon for every sample."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from mapllava import gt_cache
from mapllava.structures import MapSpec

PLAIN = Path(__file__).parents[3] / "benchmarks" / "naive_vectorisation.py"


def test_city_lines_are_those_of_the_plain_way(city, city_cache):
    spec = importlib.util.spec_from_file_location("naive_vectorisation", PLAIN)
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    entries = gt_cache.load(city_cache["val"])["data_list"]
    maps = {e["location"]: plain.NaiveMap(city / "maps/expansion" / f"{e['location']}.json") for e in entries}
    compared = 0
    for entry in entries:
        theirs = maps[entry["location"]].vectors(entry["ego2global"] @ entry["lidar2ego"])
        ours = [(MapSpec().classes[line["label"]], line["points"]) for line in entry["polylines"]]
        assert [name for name, _ in ours] == [name for name, _ in theirs]
        for (_, mine), (_, other) in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-6)
            compared += 1
    assert compared > 40
