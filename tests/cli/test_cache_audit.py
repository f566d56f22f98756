import json
import shutil
from functools import partial

import cv2

from mapllava.__main__ import run_command
from tests.gt_cache import tiny_nuscenes

main = partial(run_command, "cache audit")


def test_a_set_against_itself_and_against_the_other(city, city_cache, tmp_path, capsys):
    picture, report = tmp_path / "audit.png", tmp_path / "audit.json"
    options = ["--picture", str(picture), "--json", str(report)]
    assert main([str(city_cache["train"]), str(city_cache["train"]), *options]) == 0
    printed = capsys.readouterr().out
    assert "near samples of v1.0-mini train" in printed
    assert printed.count("v1.0-mini train: 3 of 8 scenes present") == 2
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


def test_tables_of_two_versions_without_a_single_map_file(tmp_path, capsys):
    root = tiny_nuscenes.write(tmp_path / "data")
    shutil.rmtree(root / "maps")
    test = shutil.copytree(root / "v1.0-mini", root / "v1.0-test")
    for path in test.iterdir():  # the same drives under other names, 3 m further
        text = path.read_text().replace("scene-0", "scene-9")
        path.write_text(text.replace("[100.0, 2", "[103.0, 2") if path.stem == "ego_pose" else text)
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"train": ["scene-0061", "scene-9103"], "val": ["scene-9061", "scene-1"]}))
    report = tmp_path / "report.json"
    argv = [f"{lists}:train", f"{lists}:val", "--dataroot", str(root), "--json", str(report)]
    assert main([*argv, "--version", "v1.0-mini", "v1.0-test"]) == 0
    printed = capsys.readouterr().out
    assert "v1.0-mini+v1.0-test lists-train: 2 of 2 scenes present" in printed
    assert "v1.0-mini+v1.0-test lists-val: 1 of 2 scenes present" in printed
    found = json.loads(report.read_text())
    assert found["scenes"]["val"] == "1 of 2 scenes present"
    assert found["locations"]["all"]["median_m"] == 3.0
    assert found["train"] == ["v1.0-mini+v1.0-test lists-train", 6]
    assert main([*argv, "--version", "v1.0-mini"]) == 2
    assert "none of the 2 scenes of v1.0-mini lists-val is in" in capsys.readouterr().err
    (test / "ego_pose.json").write_text("[{}]")
    assert main([*argv, "--version", "v1.0-mini", "v1.0-test"]) == 2
    assert "v1.0-test are damaged (KeyError: 'token')" in capsys.readouterr().err
    (test / "ego_pose.json").unlink()
    assert main([*argv, "--version", "v1.0-test"]) == 2
    assert "lacks ego_pose.json" in capsys.readouterr().err
