import json

import cv2
import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.__main__ import main as mapllava
from mapllava.gt_cache.schema import fingerprint


def main(words):
    return mapllava(["cache", *words])


def test_show_draws_the_samples_asked_for(city, city_cache, tmp_path, capsys):
    token = gt_cache.load(city_cache["val"])["data_list"][3]["sample_token"]
    cache = str(city_cache["val"])
    assert main(["show", cache, "--dataroot", str(city), "--sample", token, "--out-dir", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("scene-*.png")
    assert token in path.name
    (overview,) = tmp_path.glob("map_*.png")
    assert cv2.imread(str(overview)).shape[1] > 400
    with_cameras = cv2.imread(str(path))
    assert with_cameras.shape[1] == 1600
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{cache} (split val of v1.0-mini, 8 samples)", str(overview), str(path)]
    empty = tmp_path / "no_images"
    empty.mkdir()
    assert main(["show", cache, "--dataroot", str(empty), "--num", "2", "--out-dir", str(empty)]) == 0
    alone = [cv2.imread(str(path)) for path in empty.glob("scene-*.png")]
    assert len(alone) == 2
    assert all(picture.size < with_cameras.size for picture in alone)  # the map alone


def unfolded(printed):
    """The last column of a table, rows of which may be broken in the middle of a word."""
    return "".join(row.split("│")[-2].strip() for row in printed.splitlines() if row.count("│") > 2)


def test_verify_lint_and_diff_report_by_exit_status(city, city_cache, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")  # tokens stay whole on a narrow terminal
    good = city_cache["val"]
    content = gt_cache.load(good)
    lines = content["data_list"][0]["polylines"]
    lines[0]["points"] = lines[0]["points"] + 0.5
    lines.append({"label": 0, "points": np.ones((2, 2)), "closed": False})
    bad = tmp_path / good.name
    gt_cache.save(bad, content)
    found = tmp_path / "found.json"

    assert main(["verify", str(good), "--dataroot", str(city), "--num", "3"]) == 0
    assert (
        f"{good} (split val of v1.0-mini, 8 samples) holds what its source gives" in capsys.readouterr().out
    )
    assert main(["verify", str(bad), "--dataroot", str(city), "--all", "--json", str(found)]) == 1
    printed = capsys.readouterr().out
    assert "does NOT hold" in printed
    assert content["data_list"][0]["sample_token"] in unfolded(printed)
    saved = json.loads(found.read_text())
    assert {d["kind"] for d in saved["differences"]} == {"moved", "only first"}
    named = {"cache": str(bad), "version": "v1.0-mini", "split": "val", "num_samples": 8}
    assert named.items() <= saved.items()
    assert saved["largest_distance"] == pytest.approx(np.hypot(0.5, 0.5), abs=0.3)

    assert main(["lint", str(good), "--dataroot", str(city)]) == 0
    printed = capsys.readouterr().out
    assert f"{good} (split val of v1.0-mini, 8 samples): 0 errors" in printed
    assert f"poses off the road: judged by the maps in {city}" in printed
    assert main(["lint", str(bad), "--json", str(found)]) == 1
    assert "zero length" in capsys.readouterr().out
    assert any(
        f["status"] == "fail" and f["name"] == "zero length"
        for f in json.loads(found.read_text())["findings"]
    )
    assert {**named, "poses_judged_by": str(city)}.items() <= json.loads(found.read_text()).items()

    assert main(["diff", str(good), str(good)]) == 0
    assert main(["diff", str(good), str(bad), "--json", str(found)]) == 1
    assert json.loads(found.read_text())["comparison"]["differences"][0]["sample_token"]


def test_errors_name_the_file(city_cache, tmp_path, capsys):
    missing = tmp_path / "gt_cache_v1.0-mini_val.pkl"
    for command in (["lint"], ["verify"], ["show", "--out-dir", str(tmp_path)]):
        assert main([command[0], str(missing), *command[1:]]) == 2
        assert str(missing) in capsys.readouterr().err
    unknown = ["show", str(city_cache["val"]), "--sample", "nothing", "--out-dir", str(tmp_path)]
    assert main(unknown) == 2
    assert "no sample nothing" in capsys.readouterr().err


def test_diff_names_the_tables_that_differ(city, city_cache, tmp_path, capsys):
    content = gt_cache.load(city_cache["val"])
    meta = content["metainfo"]
    name = next(name for name in meta["tables"] if name.startswith("maps/"))
    meta["tables"][name]["size"] += 1
    meta["fingerprint"] = fingerprint(meta)
    other = tmp_path / city_cache["val"].name
    gt_cache.save(other, content)
    assert main(["diff", str(city_cache["val"]), str(other)]) == 0  # the same lines from another file
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│ tables"))
    assert row.count("maps/expansion") == 2


def test_a_report_that_cannot_be_written_is_an_error(city_cache, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["lint", str(city_cache["val"]), "--json", str(tmp_path / "file" / "found.json")]) == 2
    assert "found.json' cannot be written" in capsys.readouterr().err


def test_show_numbers_of_samples(city_cache, tmp_path, capsys):
    show = ["show", str(city_cache["train"]), "--out-dir", str(tmp_path), "--num"]
    assert main([*show, "-1"]) == 2
    assert "num is -1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main([*show, "0"]) == 0
    locations = {entry["location"] for entry in gt_cache.load(city_cache["train"])["data_list"]}
    assert {path.name for path in tmp_path.iterdir()} == {f"map_{name}.png" for name in locations}


def changed(city_cache, path, **meta):
    content = gt_cache.load(city_cache["val"])
    content["metainfo"].update(meta)
    content["metainfo"]["fingerprint"] = fingerprint(content["metainfo"])
    gt_cache.save(path, content)
    return str(path)


def test_a_stale_cache_is_shown_with_a_warning(city, city_cache, tmp_path, capsys):
    tables = gt_cache.load(city_cache["val"])["metainfo"]["tables"]
    name = "v1.0-mini/sample.json"
    tables[name] = {**tables[name], "size": 1}
    cache = changed(city_cache, tmp_path / city_cache["val"].name, tables=tables)
    assert main(["show", cache, "--num", "1", "--out-dir", str(tmp_path)]) == 0
    warning = capsys.readouterr().out.splitlines()[1]
    assert warning.startswith(f"warning: the cache is stale, the source tables {name} in {city} have changed")
    assert len(list(tmp_path.glob("scene-*.png"))) == 1


def test_lint_finds_the_maps_by_itself_or_says_that_poses_were_not_judged(city, city_cache, tmp_path, capsys):
    assert main(["lint", str(city_cache["val"])]) == 0
    assert f"poses off the road: judged by the maps in {city}" in capsys.readouterr().out
    cache = changed(city_cache, tmp_path / city_cache["val"].name, dataroot=str(tmp_path / "away"))
    found = tmp_path / "found.json"
    assert main(["lint", cache, "--json", str(found)]) == 0
    assert f"poses off the road: NOT judged: {tmp_path / 'away'}" in capsys.readouterr().out
    assert json.loads(found.read_text())["poses_judged_by"] is None
