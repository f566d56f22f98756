"""What a data set holds against what a model can do."""

import re

import numpy as np

from mapllava.datasets.fit import crowded, mounted_elsewhere
from mapllava.structures.frames import MapSpec


def entry(token, lines, height=1.84, degenerate=0):
    mount = np.eye(4)
    mount[2, 3] = height
    points = [np.array([[k * 0.1, 0.0], [k * 0.1, 5.0]]) for k in range(lines)] + [
        np.zeros((2, 2))
    ] * degenerate
    polylines = [{"label": 0, "points": each, "closed": False} for each in points]
    return {"sample_token": token, "polylines": polylines, "lidar2ego": mount}


def test_samples_with_more_elements_than_the_model_draws_are_counted_and_the_worst_is_named():
    entries = [entry("a", 50), entry("b", 51), entry("c", 63), entry("d", 50, degenerate=5)]
    said = crowded(entries, MapSpec(), 50)
    assert said.startswith("2 of 4 samples have more than 50 elements, at most 63 (sample c)")
    assert crowded(entries[:1] + entries[3:], MapSpec(), 50) == ""
    assert crowded([], MapSpec(), 50) == ""


def test_a_lidar_that_hangs_elsewhere_is_named():
    entries = [entry("a", 1), entry("b", 1, height=1.7), entry("c", 1, height=2.3)]
    assert mounted_elsewhere(entries[:2], -1.84) == ""
    assert re.search(r"sample c .*2\.30 m", mounted_elsewhere(entries, -1.84))
    assert "takes the ground for z = 0 m" in mounted_elsewhere(entries[:1], 0.0)
    assert mounted_elsewhere([], -1.84) == ""
