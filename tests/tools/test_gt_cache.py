import json

import cv2
import numpy as np

from mapllava import gt_cache
from mapllava.gt_cache.schema import fingerprint
from tools.gt_cache import main


def test_show_draws_the_samples_asked_for(city, city_cache, tmp_path, capsys):
    token = gt_cache.load(city_cache["val"])["data_list"][3]["sample_token"]
    cache = str(city_cache["val"])
    assert main(["show", cache, "--dataroot", str(city), "--sample", token, "--out-dir", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.png")
    assert token in path.name
    with_cameras = cv2.imread(str(path))
    assert with_cameras.shape[1] == 1600
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    empty = tmp_path / "no_images"
    empty.mkdir()
    assert main(["show", cache, "--dataroot", str(empty), "--num", "2", "--out-dir", str(empty)]) == 0
    alone = [cv2.imread(str(path)) for path in empty.glob("*.png")]
    assert len(alone) == 2
    assert all(picture.shape[0] < with_cameras.shape[0] for picture in alone)  # the map alone


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
    assert "the cache holds what its source gives" in capsys.readouterr().out
    assert main(["verify", str(bad), "--dataroot", str(city), "--all", "--json", str(found)]) == 1
    printed = capsys.readouterr().out
    assert "does NOT hold" in printed
    assert content["data_list"][0]["sample_token"] in unfolded(printed)
    assert {d["kind"] for d in json.loads(found.read_text())["differences"]} == {"moved", "only first"}

    assert main(["lint", str(good), "--dataroot", str(city)]) == 0
    assert "split val of v1.0-mini, 8 samples: 0 errors" in capsys.readouterr().out
    assert main(["lint", str(bad), "--json", str(found)]) == 1
    assert "zero length" in capsys.readouterr().out
    assert any(f["is_error"] and f["check"] == "zero length" for f in json.loads(found.read_text()))

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
