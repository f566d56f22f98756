from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache import builder
from mapllava.structures import MapSpec


def by_class(entry):
    lines = {name: [] for name in MapSpec().classes}
    for line in entry["polylines"]:
        lines[MapSpec().classes[line["label"]]].append(line)
    return lines


def test_tiny_data_set_by_hand(tiny):
    """Third key frame: LiDAR at world (100, 211), right is world +x, ahead is world +y."""
    path = gt_cache.build(tiny, "v1.0-mini", "val")
    assert path == tiny / "gt_cache" / "gt_cache_v1.0-mini_val.pkl"
    content = gt_cache.load(path, MapSpec(), split="val", version="v1.0-mini")
    meta = content["metainfo"]
    assert (meta["split"], meta["map_version"], meta["num_samples"]) == ("val", "1.3", 3)
    lines = by_class(content["data_list"][2])
    (divider,) = lines["divider"]
    np.testing.assert_allclose(divider["points"], [[1, -30], [1, 30]], atol=1e-6)
    (crossing,) = lines["ped_crossing"]
    assert crossing["closed"]
    np.testing.assert_allclose(crossing["points"].min(0), [-6, -1], atol=1e-6)
    np.testing.assert_allclose(crossing["points"].max(0), [6, 2], atol=1e-6)
    sides = sorted(tuple(np.round(line["points"][:, 0], 6)) for line in lines["boundary"])
    assert sides == [(-6, -6), (6, 6)]
    assert not any(line["closed"] for line in lines["boundary"])


def test_absent_scenes_are_left_out_and_said(tiny, caplog):
    meta = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "train"))["metainfo"]
    assert meta["scenes"] == ["scene-0061", "scene-0553"]
    assert "v1.0-mini has 2 of the 8 scenes of split train, and " in caplog.text
    assert "gt_cache_v1.0-mini_train.pkl will hold these alone\n" in caplog.text


def test_processes_change_nothing(tiny, tmp_path):
    one = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "train", out_dir=tmp_path / "1"))
    two = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "train", out_dir=tmp_path / "2", workers=2))
    np.testing.assert_equal(two, one)


def test_interrupted_build_goes_on_where_it_stopped(tiny, monkeypatch, capsys):
    real, done = builder.finish_scene, []

    def stop_at_second(job):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(job.target.stem)
        real(job)

    monkeypatch.setattr(builder, "finish_scene", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        gt_cache.build(tiny, "v1.0-mini", "train")
    target = gt_cache.cache_path(tiny, "v1.0-mini", "train")
    assert not target.exists()

    def count(job):
        done.append(job.target.stem)
        real(job)

    monkeypatch.setattr(builder, "finish_scene", count)
    gt_cache.build(tiny, "v1.0-mini", "train", progress=True)
    assert done == ["scene-0061", "scene-0553"]
    assert "2/2" in capsys.readouterr().err
    assert list(target.parent.iterdir()) == [target]


def test_half_written_scene_is_made_again_and_old_parts_are_dropped(tiny, monkeypatch):
    parts = tiny / "gt_cache" / "gt_cache_v1.0-mini_val.parts-000000000000"
    parts.mkdir(parents=True)
    monkeypatch.setattr(builder, "_gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        gt_cache.build(tiny, "v1.0-mini", "val")
    assert not parts.exists()
    (part,) = (tiny / "gt_cache").glob("*/*.pkl")
    part.write_bytes(part.read_bytes()[:-5])
    monkeypatch.undo()
    assert len(gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "val"))["data_list"]) == 3


def test_current_cache_is_left_alone_and_a_stale_one_rebuilt(tiny):
    path = gt_cache.build(tiny, "v1.0-mini", "val")
    before = path.stat().st_mtime_ns
    gt_cache.build(tiny, "v1.0-mini", "val")
    assert path.stat().st_mtime_ns == before
    expansion = tiny / "maps" / "expansion" / "singapore-onenorth.json"
    content = json.loads(expansion.read_text())
    for node in content["node"]:
        node["x"] += 1.0
    expansion.write_text(json.dumps(content))
    entry = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "val"))["data_list"][0]
    np.testing.assert_allclose(by_class(entry)["divider"][0]["points"][:, 0], [2, 2], atol=1e-6)
    gt_cache.build(tiny, "v1.0-mini", "val", roi="40x20")
    assert gt_cache.load(path)["metainfo"]["roi"] == [-10, -20, 10, 20]
    path.write_bytes(b"broken")
    assert gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "val"))["metainfo"]["num_samples"] == 3


def test_split_of_ones_own(tiny, tmp_path):
    lists = tmp_path / "mine.json"
    lists.write_text(json.dumps({"val": ["scene-0553", "scene-0103"]}))
    path = gt_cache.build(tiny, "v1.0-mini", f"{lists}:val")
    content = gt_cache.load(path, split="mine.json:val")
    assert path.name == "gt_cache_v1.0-mini_mine-val.pkl"
    assert [e["scene_name"] for e in content["data_list"]] == ["scene-0553"] * 3 + ["scene-0103"] * 3


KILLED = """
import os, sys, time
from mapllava import gt_cache
from mapllava.gt_cache import builder

def slow(job):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(1)

builder.finish_scene = slow
gt_cache.build(sys.argv[1], "v1.0-mini", "train", workers=2)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_end_when_the_build_is_killed(tiny):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tiny], stdout=subprocess.PIPE, text=True, env=env
    ) as build:
        workers = [int(build.stdout.readline()) for _ in range(2)]
        build.kill()
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline, f"workers {workers} outlived the build"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"roi": "60x30", "spec": MapSpec()}, "both given"),
        ({"spec": MapSpec(classes=("divider", "kerb"))}, "kerb"),
        ({"roi": "sixty"}, "neither"),
        ({"roi": "60x0.4"}, "roi 60x0.4 is too small"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tiny, options, words):
    with pytest.raises(MapLLaVAError, match=words):
        gt_cache.build(tiny, "v1.0-mini", "val", **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_map_that_breaks_in_a_process_is_named(tiny, workers):
    path = tiny / "maps" / "expansion" / "singapore-onenorth.json"
    path.write_text('{"version": "1.3"}')
    with pytest.raises(MapLLaVAError, match=r"singapore-onenorth\.json is damaged"):
        gt_cache.build(tiny, "v1.0-mini", "val", workers=workers)


def test_target_that_cannot_be_written_is_named(tiny):
    (tiny / "gt_cache").write_text("a file where the folder belongs")
    with pytest.raises(MapLLaVAError, match=r"gt_cache/.*cannot be written: File exists"):
        gt_cache.build(tiny, "v1.0-mini", "val")


def test_two_builders_at_once_do_the_work_once_and_both_have_it(tiny, tmp_path, monkeypatch):
    """Each scene that is cut leaves a line; two that do not know of each other would leave it twice."""
    done, finish, processes = tmp_path / "done.txt", builder.finish_scene, multiprocessing.get_context("fork")

    def noted(job):
        with done.open("a") as stream:
            stream.write(f"{job.target.stem}\n")
        time.sleep(0.3)
        finish(job)

    monkeypatch.setattr(builder, "finish_scene", noted)
    started = [processes.Process(target=gt_cache.build, args=(tiny, "v1.0-mini", "train")) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0, 0]
    assert sorted(done.read_text().split()) == ["scene-0061", "scene-0553"]
    assert [path.name for path in (tiny / "gt_cache").iterdir()] == ["gt_cache_v1.0-mini_train.pkl"]


def test_scenes_that_nobody_knows_are_named(tiny, tmp_path):
    path = tmp_path / "lists.json"
    path.write_text('["scene-0061", "scene-61"]')
    with pytest.raises(MapLLaVAError, match=r"lists\.json names scene-61: .* has no such scene"):
        gt_cache.build(tiny, "v1.0-mini", str(path))
