"""Data that are missing, cut short or no longer what the caches were made from."""

import pickle
import shutil

import pytest

from mapllava.doctor import FAIL, OK, SKIP, WARN, data

VERSION = "v1.0-mini"


def test_a_good_set_up(set_up):
    report = set_up.report("data")
    assert {each.status for each in report.values()} == {OK}
    assert report["data root"].reason == f"{set_up.root} (synthetic)"
    assert report["v1.0-mini, maps"].reason.startswith("13 tables, 4 maps")
    assert "current: 12 samples" in report["train cache"].reason
    assert report["val images"].reason == "all 48 files are there; those of 4 samples decode"


def test_no_data_root(set_up):
    shutil.rmtree(set_up.root)
    report = set_up.report("data", "step")
    assert report["data root"].status == FAIL
    assert f"was looked for at {set_up.root}" in report["data root"].reason
    assert "nuscenes.org" in report["data root"].remedy
    assert {report[name].status for name in ("caches", "images", "step")} == {SKIP}
    assert report["images"].reason == "not looked at: roots failed"


@pytest.mark.parametrize("missing", ["v1.0-mini", "v1.0-mini/sample.json", "maps/expansion"])
def test_without_tables_or_maps_the_caches_still_train(missing, set_up):
    path = set_up.root / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    report = set_up.report("data")
    assert report["v1.0-mini, maps"].status == WARN
    assert missing.split("/")[-1] in report["v1.0-mini, maps"].reason
    assert "training reads the caches alone" in report["v1.0-mini, maps"].remedy
    assert report["train cache"].status == OK


def test_a_table_that_is_cut_short(set_up):
    path = set_up.root / VERSION / "ego_pose.json"
    path.write_bytes(path.read_bytes()[:-100])
    finding = set_up.report("roots")["v1.0-mini, maps"]
    assert finding.status == FAIL
    assert "ego_pose.json" in finding.reason
    assert "is cut short" in finding.reason


def test_a_stale_cache(set_up):
    path = set_up.root / VERSION / "ego_pose.json"
    path.write_text(path.read_text() + "\n")
    finding = set_up.report("caches")["val cache"]
    assert finding.status == FAIL
    assert "the source tables v1.0-mini/ego_pose.json" in finding.reason
    assert "have changed since" in finding.reason
    assert finding.remedy == (
        f"mapllava cache create --dataroot {set_up.root} --version v1.0-mini --split val"
    )


def test_more_elements_than_queries(set_up):
    finding = set_up.report("caches", options=["model.map_queries.num_instances=3"])["train elements"]
    assert finding.status == WARN
    assert "samples have more than 3 elements, at most" in finding.reason
    assert "num_instances" in finding.remedy


def test_a_lidar_that_hangs_elsewhere(set_up):
    finding = set_up.report("caches", options=["model.neck.heights.ground.lidar=-1.2"])["val LiDAR"]
    assert finding.status == FAIL
    assert "takes the ground for z = -1.2 m" in finding.reason


def test_a_roi_that_the_flip_does_not_serve(set_up):
    finding = set_up.report("settings", options=["map_spec.roi=[-10.,-30.,20.,30.]"])
    assert finding["pipeline"].status == FAIL, finding
    assert "[-10.0, -30.0, 20.0, 30.0] is not symmetric along x" in finding["pipeline"].reason


def test_a_cache_of_another_roi(set_up):
    finding = set_up.report("caches", options=["map_spec.roi=[-25.,-50.,25.,50.]"])["train cache"]
    assert finding.status == FAIL
    assert "its roi is [-15.0, -30.0, 15.0, 30.0], the config wants [-25.0, -50.0" in finding.reason
    assert "--roi=" in finding.remedy


@pytest.mark.parametrize("damage", ["missing", "truncated", "hostile"])
def test_a_cache_that_cannot_be_read(damage, set_up):
    path = set_up.root / "gt_cache" / "gt_cache_v1.0-mini_val.pkl"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:5000] if damage == "truncated" else pickle.dumps(print))
    report = set_up.report("data")
    assert report["val cache"].status == FAIL
    assert str(path) in report["val cache"].reason
    assert report["val cache"].remedy.startswith("mapllava cache create")
    assert report["train cache"].status == OK
    assert report["images"].status == SKIP


def test_a_cache_too_small_for_real_nuscenes(set_up, monkeypatch):
    monkeypatch.setattr(data, "_LEAST", {(VERSION, "train"): 10**8})
    assert set_up.report("caches")["train cache"].status == OK  # a city of ours may be small
    (set_up.root / data.MARKER).unlink()
    finding = set_up.report("caches")["train cache"]
    assert finding.status == FAIL
    assert "at least 0.1 GB are expected of it" in finding.reason
    assert "mapllava cache verify" in finding.remedy


def test_validation_on_training_samples(set_up):
    options = ["val_dataloader.dataset.ann_file=gt_cache/gt_cache_v1.0-mini_train.pkl"]
    options.append("test_dataloader.dataset.ann_file=gt_cache/gt_cache_v1.0-mini_train.pkl")
    finding = set_up.report("caches", options=options)["splits"]
    assert finding.status == WARN
    assert "12 samples are trained on and validated on" in finding.reason


def first_image(set_up):
    return sorted((set_up.root / "samples" / "CAM_BACK").glob("*.jpg"))[0]


def test_a_truncated_image_among_those_decoded(set_up):
    path = first_image(set_up)
    path.write_bytes(path.read_bytes()[:-500])
    report = set_up.report("images", samples=0)
    (finding,) = (each for each in report.values() if each.status == FAIL)
    assert f"1 of 12 samples do not decode: image '{path}' (CAM_BACK) is cut short" in finding.reason
    assert "fetch it again" in finding.remedy


def test_every_missing_image_is_found_without_decoding(set_up):
    path = first_image(set_up)
    path.unlink()
    shutil.rmtree(set_up.root / "samples" / "CAM_FRONT")
    finding = set_up.report("images", samples=1)["train images"]
    assert finding.status == FAIL
    assert "13 of 72 files are missing" in finding.reason
    assert "CAM_FRONT" in finding.reason


def test_nothing_is_changed(set_up):
    def state():
        return {path: path.stat().st_mtime_ns for path in set_up.root.parent.rglob("*")}

    before = state()
    set_up.report("config", "data", "weights", "step")
    assert state() == before
