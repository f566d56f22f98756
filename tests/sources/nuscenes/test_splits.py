from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import setuptools

from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import rebuild_command
from mapllava.sources.nuscenes.splits import (
    NAMED_SPLITS,
    expand_split,
    official_scene_names,
    resolve_split,
    split_label,
)

ROOT = Path(__file__).parents[3]


def test_official_sizes():
    sizes = {name: len(official_scene_names(name)) for name in ("train", "val", "mini_train", "mini_val")}
    assert sizes == {"train": 700, "val": 150, "mini_train": 8, "mini_val": 2}
    assert not set(official_scene_names("train")) & set(official_scene_names("val"))


def test_train_and_val_mean_the_mini_lists_for_the_mini_version():
    assert resolve_split("v1.0-mini", "val").scenes == ("scene-0103", "scene-0916")
    assert resolve_split("v1.0-mini", "mini_val") == resolve_split("v1.0-mini", "val")
    assert len(resolve_split("v1.0-trainval", "val").scenes) == 150


@pytest.mark.parametrize("split", ["test", "", "mini", "mini_mini_val", "lists.jsonx"])
def test_unknown_split_is_refused(split):
    with pytest.raises(MapLLaVAError, match="use train, val"):
        resolve_split("v1.0-mini", split)


def test_mini_split_of_the_full_version_is_refused():
    with pytest.raises(MapLLaVAError, match=r"belongs to v1\.0-mini"):
        split_label("v1.0-trainval", "mini_val")


def test_unknown_official_list():
    with pytest.raises(MapLLaVAError, match="mini_train"):
        official_scene_names("test")


def test_lists_of_ones_own(tmp_path):
    path = tmp_path / "geo.json"
    path.write_text(json.dumps({"name": "x", "train": ["a"], "val": ["c", "b"]}))
    split = resolve_split("v1.0-trainval", f"{path}:val")
    assert (split.name, split.scenes) == ("geo-val", ("c", "b"))
    plain = tmp_path / "some.json"
    plain.write_text('["z"]')
    assert resolve_split("v1.0-trainval", str(plain)).name == "some"


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        ('{"train": ["a"], "name": "n"}', ":val", r"has no list 'val'.*colon: train"),
        ('{"train": ["a"]}', "", "has no list ''"),
        ('["a"]', ":val", "is one list"),
        ('["a", "a"]', "", "twice: a"),
        ("[]", "", "non-empty"),
        ("[1]", "", "non-empty"),
        ("{", "", "is not JSON"),
        (None, "", "cannot be read"),
    ],
)
def test_bad_file_names_itself_and_the_fault(tmp_path, content, key, words):
    path = tmp_path / "lists.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(MapLLaVAError, match=f"lists.json.*{words}"):
        resolve_split("v1.0-trainval", f"{path}{key}")


def test_named_splits_ship_with_the_package_and_say_where_they_come_from():
    assert set(NAMED_SPLITS) == {"geographic_roddick", "near_extrapolation", "far_extrapolation"}
    for path in NAMED_SPLITS.values():
        assert "CVPR" in json.loads(path.read_text())["source"]


def test_named_splits_by_their_sizes():
    sizes = {
        split: len(resolve_split("v1.0-trainval", split).scenes)
        for name in NAMED_SPLITS
        for split in expand_split(name)
    }
    assert sizes == {
        "geographic_roddick:train": 698, "geographic_roddick:val": 148,
        "near_extrapolation:train": 657, "near_extrapolation:val": 124, "near_extrapolation:test": 137,
        "far_extrapolation:singapore": 450, "far_extrapolation:boston": 550,
        "far_extrapolation:boston+onenorth": 753, "far_extrapolation:hollandsvillage+queenstown": 247,
        "far_extrapolation:onenorth": 203, "far_extrapolation:boston+hollandsvillage+queenstown": 797,
    }  # fmt: skip


def test_lists_of_a_named_split_share_no_scene_and_are_real_scenes():
    from nuscenes.utils import splits

    known = {*splits.train, *splits.val, *splits.test}
    for name in ("geographic_roddick", "near_extrapolation"):
        lists = [set(resolve_split("v1.0-trainval", split).scenes) for split in expand_split(name)]
        assert sum(map(len, lists)) == len(set.union(*lists))
        assert set.union(*lists) <= known


def test_the_label_of_a_named_split_is_understood_so_that_rebuild_commands_work():
    for name in NAMED_SPLITS:
        for split in expand_split(name):
            label = resolve_split("v1.0-trainval", split).name
            assert resolve_split("v1.0-trainval", label) == resolve_split("v1.0-trainval", split)
            command = rebuild_command(Path(f"data/gt_cache/gt_cache_v1.0-trainval_{label}.pkl"))
            assert command.split()[-2:] == ["--split", label]


OTHERS = ["val", "geographic_roddick", "geographic_roddick-val", "geographic_roddick-mine"]


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_other_scenes_does_not_pass_for_a_known_split(tmp_path, name):
    path = tmp_path / f"{name}.json"
    path.write_text('["scene-0001"]')
    with pytest.raises(MapLLaVAError, match=rf"{name}\.json: its caches .* '{name}' .*; rename the file"):
        resolve_split("v1.0-trainval", str(path))


def test_a_copy_of_a_known_split_is_that_split(tmp_path):
    path = tmp_path / "geographic_roddick.json"
    path.write_text(NAMED_SPLITS["geographic_roddick"].read_text())
    copy = resolve_split("v1.0-trainval", f"{path}:val")
    assert copy == resolve_split("v1.0-trainval", "geographic_roddick:val")


def test_far_extrapolation_trains_in_other_cities():
    cities = {
        split.partition(":")[2]: set(resolve_split("v1.0-trainval", split).scenes)
        for split in expand_split("far_extrapolation")
    }
    for train, val in (
        ("boston", "singapore"), ("boston+onenorth", "hollandsvillage+queenstown"),
        ("boston+hollandsvillage+queenstown", "onenorth"),
    ):  # fmt: skip
        assert not cities[train] & cities[val]
        assert len(cities[train] | cities[val]) == 1000


def test_the_lists_are_part_of_what_is_installed(monkeypatch):
    monkeypatch.chdir(ROOT)
    keywords = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: keywords.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    build = setuptools.Distribution(keywords).get_command_obj("build_py")
    build.ensure_finalized()
    files = {Path(name).name for *_, names in build.data_files for name in names}
    assert {path.name for path in NAMED_SPLITS.values()} <= files


def test_a_named_split_is_labelled_and_its_lists_are_named():
    assert resolve_split("v1.0-trainval", "geographic_roddick:val").name == "geographic_roddick-val"
    assert expand_split("all") == ("train", "val")
    assert expand_split("lists.json:val") == ("lists.json:val",)
    with pytest.raises(MapLLaVAError, match=r"geographic_roddick\.json has no .* colon: train, val"):
        resolve_split("v1.0-trainval", "geographic_roddick:test")
    with pytest.raises(MapLLaVAError, match="geographic_roddick:KEY"):
        resolve_split("v1.0-trainval", "geographic")


def test_the_test_version_has_the_test_split_alone():
    assert len(resolve_split("v1.0-test", "test").scenes) == 150
    assert expand_split("all", "v1.0-test") == ("test",)
    for version, split in (("v1.0-test", "train"), ("v1.0-trainval", "test"), ("v1.0-mini", "test")):
        with pytest.raises(MapLLaVAError, match=r"v1\.0-test has the split test"):
            resolve_split(version, split)


def test_a_byte_order_mark_is_no_part_of_a_split_file(tmp_path):
    path = tmp_path / "lists.json"
    path.write_bytes(b'\xef\xbb\xbf{"mine": ["scene-0061"]}')
    assert resolve_split("v1.0-mini", f"{path}:mine").scenes == ("scene-0061",)
