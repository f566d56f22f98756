import json

import cv2
import numpy as np
import pytest

from mapllava.visualization.distance_histogram import draw_distances
from tools.split_audit import main


def test_a_set_against_itself_and_against_the_other(city, city_cache, tmp_path, capsys):
    picture, report = tmp_path / "audit.png", tmp_path / "audit.json"
    options = ["--picture", str(picture), "--json", str(report)]
    assert main([str(city_cache["train"]), str(city_cache["train"]), *options]) == 0
    printed = capsys.readouterr().out
    assert "near samples of v1.0-mini train" in printed
    assert "3 scenes are in both" in printed
    assert json.loads(report.read_text())["locations"]["all"]["share_within_m"]["1"] == 1.0
    assert cv2.imread(str(picture)).shape == (560, 1000, 3)
    by_name = ["train", "val", "--dataroot", str(city), "--version", "v1.0-mini", "--json", str(report)]
    assert main(by_name) == 0
    assert json.loads(report.read_text())["locations"]["all"]["share_within_m"]["60"] == 0.0


def test_mistakes_are_named(city, tmp_path, capsys):
    assert main(["train", "val"]) == 2
    assert "--dataroot" in capsys.readouterr().err
    assert main(["trian", "val", "--dataroot", str(city), "--version", "v1.0-mini"]) == 2
    assert "unknown split 'trian'" in capsys.readouterr().err
    assert main([str(tmp_path / "gt_cache_x_y.pkl"), "val"]) == 2
    assert "gt_cache_x_y.pkl" in capsys.readouterr().err


def test_bars_are_as_high_as_their_shares():
    picture = draw_distances(np.array([0.5, 0.5, 3.0, np.inf]), (1.0, 5.0), "title")
    bar = (picture == (196, 132, 66)).all(-1)
    heights = [int(bar[:, x].sum()) for x in (220, 520, 820)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=2)
    assert heights[1] == heights[2] > 0
    with pytest.raises(ValueError, match="no distances"):
        draw_distances(np.zeros(0), (1.0,), "title")
