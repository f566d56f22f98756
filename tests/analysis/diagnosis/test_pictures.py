import cv2
import pytest

from mapllava.analysis.diagnosis.pictures import draw_diagnosis
from mapllava.visualization.style import PALETTE, UNSURE

SET = {"split": "city val", "samples": 4, "scenes": 2}


def count(path, color):
    rgb = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return int((cv2.imread(str(path))[..., ::-1] == rgb).all(axis=-1).sum())


@pytest.mark.parametrize(
    ("interval", "sure"), [([0.02, 0.08], True), ([0.06, 0.08], True), ([-0.02, 0.08], False), (None, True)]
)
def test_a_cost_that_is_not_told_from_zero_is_grey(tmp_path, interval, sure):
    row = {"name": "blank", "mAP": 0.4, "cost": 0.05, "interval": interval}
    found = {**SET, "ablations": {"mAP": 0.45, "protocol": "maptr", "ablations": [row]}}
    (path,) = draw_diagnosis(found, tmp_path / "new")
    assert path.name == "ablations.png"
    assert (count(path, PALETTE[0]) > 1000) == sure
    assert (count(path, UNSURE) > 1000) == (not sure)


def test_norms_of_zero_lie_on_the_floor(tmp_path):
    depth = {"on_queries": [0.0, 0.0], "on_points": [0.0, 0.0], "growth": None, "grows": False}
    (path,) = draw_diagnosis({**SET, "gradient": depth}, tmp_path)
    assert cv2.imread(str(path)).shape == (620, 1100, 3)
    assert count(path, PALETTE[1]) > 100
