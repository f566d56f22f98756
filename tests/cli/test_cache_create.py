from __future__ import annotations

import json
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mapllava import gt_cache
from mapllava.__main__ import run_command
from mapllava.errors import MapLLaVAError
from tests.gt_cache import tiny_nuscenes

main = partial(run_command, "cache create")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tiny(tmp_path):
    return tiny_nuscenes.write(tmp_path / "data")


def test_both_splits_and_a_table(tiny, capsys):
    assert main(["--dataroot", str(tiny), "--quiet"]) == 0
    out = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2:4] for line in out.splitlines() if "│" in line}
    assert [cell.strip() for cell in rows["samples"]] == ["6", "3"]
    assert [cell.strip() for cell in rows["boundary"]] == ["12", "6"]
    assert [cell.strip() for cell in rows["empty samples"]] == ["0", "0"]
    for split in ("train", "val"):
        assert str(gt_cache.cache_path(tiny, "v1.0-mini", split)) in out


def test_options_reach_the_cache(tiny, tmp_path):
    options = ["--split", "val", "--workers", "2", "--roi", "40x20", "--out-dir", str(tmp_path / "out")]
    assert main(["--dataroot", str(tiny), "--classes", "boundary", "--quiet", *options]) == 0
    meta = gt_cache.load(tmp_path / "out" / "gt_cache_v1.0-mini_val.pkl")["metainfo"]
    assert (meta["roi"], meta["classes"]) == ([-10, -20, 10, 20], ["boundary"])


def test_the_command_in_a_refusal_works_as_it_stands(tiny, tmp_path):
    from mapllava.structures import ROI, MapSpec

    path = gt_cache.build(tiny, "v1.0-mini", "val", out_dir=tmp_path / "some where")
    wanted = MapSpec(roi=ROI(-10, -5, 10, 45), classes=("boundary", "divider"))
    with pytest.raises(MapLLaVAError) as caught:
        gt_cache.load(path, wanted)
    argv = shlex.split(str(caught.value).splitlines()[-1])
    assert argv[:3] == ["mapllava", "cache", "create"]
    assert main([*argv[3:], "--quiet"]) == 0
    beside = Path(argv[argv.index("--out-dir") + 1]) / path.name
    assert f"set ann_file to {beside}:" in str(caught.value)
    assert len(gt_cache.load(beside, wanted)["data_list"]) == 3
    assert gt_cache.load(path, MapSpec())  # is still there for the others


def command_in_refusal(path, **expected):
    with pytest.raises(MapLLaVAError) as caught:
        gt_cache.load(path, **expected)
    argv = shlex.split(str(caught.value).splitlines()[-1])
    assert argv[:3] == ["mapllava", "cache", "create"]
    return argv[3:]


@pytest.mark.parametrize("where", [".", "data", "data/gt_cache"])
def test_the_command_for_a_missing_cache_of_ones_own_lists_works(tiny, tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    lists = tmp_path / where / "my-lists.json"
    lists.parent.mkdir(exist_ok=True)
    lists.write_text(json.dumps({"held-out": ["scene-0061"]}))
    path = gt_cache.cache_path(tiny, "v1.0-mini", f"{lists}:held-out")
    argv = command_in_refusal(path)
    assert main([*argv, "--quiet"]) == 0
    assert gt_cache.load(path)["metainfo"]["scenes"] == ["scene-0061"]


def test_the_command_leaves_a_gap_for_lists_that_are_nowhere(tiny):
    argv = command_in_refusal(gt_cache.cache_path(tiny, "v1.0-mini", "/somewhere/lists.json:val"))
    assert "<folder>/lists.json:val" in argv


def test_a_stale_cache_remembers_its_lists_in_another_working_folder(tiny, tmp_path, monkeypatch):
    (tmp_path / "lists.json").write_text(json.dumps(["scene-0061"]))
    monkeypatch.chdir(tmp_path)
    path = gt_cache.build(tiny, "v1.0-mini", "lists.json", out_dir="elsewhere/gt_cache").resolve()
    monkeypatch.chdir(tiny)
    table = tiny / "v1.0-mini" / "ego_pose.json"
    table.write_text(table.read_text().replace("205.0", "206.0"))
    assert main([*command_in_refusal(path), "--quiet"]) == 0
    gt_cache.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--dataroot", "/nowhere"], "/nowhere is not a folder"),
        (["--version", "v1.0-trainval"], "versions there: v1.0-mini"),
        (["--split", "test"], "unknown split 'test'"),
        (["--roi", "big"], "roi 'big'"),
        (["--frame", "camera"], "unknown frame 'camera'"),
        (["--classes", "divider", "kerb"], "nuScenes maps offer divider"),
    ],
)
def test_user_errors_end_with_a_message_and_status_2(tiny, capsys, change, words):
    assert main(["--dataroot", str(tiny), "--quiet", *change]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error


def test_from_the_shell(tiny):
    script = [sys.executable, str(ROOT / "tools" / "create_gt_cache.py")]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    shown = subprocess.run([*script, "--help"], capture_output=True, text=True, env=env, check=True).stdout
    assert "--workers" in shown
    assert "examples:" in shown
    (tiny / "maps" / "expansion" / "boston-seaport.json").unlink()
    failed = subprocess.run(
        [*script, "--dataroot", tiny], capture_output=True, text=True, env=env, check=False
    )
    assert failed.returncode == 2
    assert "boston-seaport.json is missing" in failed.stderr
    assert "Traceback" not in failed.stderr
