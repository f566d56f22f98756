from __future__ import annotations

import builtins
import collections
import os
import pickle

import numpy as np
import pytest

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.store import dump_plain, load_plain, seal
from mapllava.structures import CLASSES, ROI, MapSpec


class Hostile:
    """Calls something on being unpickled."""

    def __init__(self, call, *args):
        self.recipe = (call, args)

    def __reduce__(self):
        return self.recipe


@pytest.fixture
def cache(tiny):
    return gt_cache.build(tiny, "v1.0-mini", "val")


def refused(path, words, **kwargs):
    with pytest.raises(MapLLaVAError, match=words) as caught:
        gt_cache.load(path, **kwargs)
    text = str(caught.value)
    assert str(path) in text
    assert "mapllava cache create --dataroot" in text
    return text.splitlines()[-1].strip()


def rewritten(path, change):
    content = load_plain(path)
    change(content)
    dump_plain(path, content)


def test_saved_content_comes_back_the_same(cache, tmp_path):
    content = gt_cache.load(cache)
    copy = tmp_path / cache.name
    gt_cache.save(copy, content)
    np.testing.assert_equal(gt_cache.load(copy), content)


def test_arrays_own_their_memory_and_can_be_changed(cache):
    points = gt_cache.load(cache)["data_list"][0]["polylines"][0]["points"]
    points += 1


def write_sealed(path, data):
    """A file as whoever knows the format writes it."""
    path.write_bytes(data + seal(data))


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found_wherever_it_is(cache, place, bit):
    data = bytearray(cache.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1 << bit
    cache.write_bytes(data)
    refused(cache, "its checksum is wrong")


def test_a_cache_without_a_checksum_is_to_be_rebuilt(cache):
    cache.write_bytes(pickle.dumps(gt_cache.load(cache), protocol=4))
    refused(cache, "of a release that wrote no checksum")


@pytest.mark.parametrize("path", ["../../secret.jpg", "/dev/zero", "samples/../../x.jpg", ""])
def test_an_image_outside_of_the_data_root_is_refused(cache, path):
    content = gt_cache.load(cache)
    content["data_list"][1]["cams"]["CAM_BACK"]["img_path"] = path
    write_sealed(cache, pickle.dumps(content, protocol=4))
    refused(cache, r"data_list\[1\]: CAM_BACK.img_path .* is not a path below the data root")


@pytest.mark.parametrize(
    "value",
    [
        Hostile(os.system, "touch hacked"),
        Hostile(builtins.eval, "1"),
        Hostile(builtins.getattr, [], "clear"),
        collections.OrderedDict(a=1),
        np.float64(1.0),
        np.array([{}], dtype=object),
        np.array(["text"]),
        np.zeros(2, dtype=[("a", "f8")]),
        np.ma.masked_array([1.0]),
        Hostile(np.core.multiarray._reconstruct, np.ndarray, (1 << 50,), b"b"),
        Hostile(np.core.multiarray._reconstruct, np.dtype, (0,), b"b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_builtins_and_numeric_arrays_are_admitted(cache, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = load_plain(cache)
    content["data_list"][0]["extra"] = value
    write_sealed(cache, pickle.dumps(content, protocol=4))
    refused(cache, "not admitted")
    assert not (tmp_path / "hacked").exists()


CALLS_NDARRAY = b"cnumpy\nndarray\n(K\x02\x85X\x01\x00\x00\x00OtR."
CHANGES_WHAT_IS_ADMITTED = b"cnumpy\ndtype\n(N}X\x0c\x00\x00\x00__defaults__K\x07stb."
ADDS_TO_WHAT_IS_ADMITTED = b"cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x07sb."


@pytest.mark.parametrize("code", [CALLS_NDARRAY, CHANGES_WHAT_IS_ADMITTED, ADDS_TO_WHAT_IS_ADMITTED])
def test_admitted_names_can_be_neither_called_nor_changed(cache, code):
    whole = cache.read_bytes()
    write_sealed(cache, b"\x80\x04" + code)
    refused(cache, "truncated, damaged or not a cache")
    cache.write_bytes(whole)
    gt_cache.load(cache)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 5])
def test_a_hostile_file_of_any_protocol_runs_nothing(cache, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sealed(cache, pickle.dumps({"metainfo": Hostile(os.system, "touch hacked")}, protocol=protocol))
    refused(cache, "not admitted")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_refused(cache, share):
    whole = cache.read_bytes()
    cache.write_bytes(whole[: int(len(whole) * share)])
    refused(cache, "truncated")


@pytest.mark.parametrize("junk", [b"hello", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(99)])
def test_other_files_are_refused(cache, junk):
    cache.write_bytes(junk)
    refused(cache, "refused")


def test_missing_file_names_the_command(tiny):
    path = gt_cache.cache_path(tiny, "v1.0-mini", "mini_train")
    command = refused(path, "does not exist")
    assert command == f"mapllava cache create --dataroot {tiny} --version v1.0-mini --split train"


def test_cache_elsewhere_names_its_folder_in_the_command(tiny, tmp_path):
    path = gt_cache.build(tiny, "v1.0-mini", "val", out_dir=tmp_path / "my caches")
    command = refused(path, "split val, not train", split="train")
    assert command.endswith(
        f"--dataroot {tiny} --version v1.0-mini --split train --out-dir '{tmp_path}/my caches'"
    )


@pytest.mark.parametrize(
    ("spec", "words", "option"),
    [
        (MapSpec(roi=ROI.parse("100x50")), "its roi is", "--roi=100x50"),
        (MapSpec(roi=ROI(-15, -10, 15, 50)), "its roi is", "--roi=-15,-10,15,50"),
        (MapSpec(frame="ego"), "its frame is lidar, the config wants ego", "--frame ego"),
        (MapSpec(classes=("divider",)), "its classes are", "--classes divider"),
    ],
)
def test_another_specification_is_refused(cache, spec, words, option):
    words = words.replace("classes are", "classes is")
    assert option in refused(cache, words, expected=spec)


def test_a_cache_of_another_map_is_left_to_those_who_use_it(cache, tiny):
    command = refused(
        cache, "gt_cache_100x50/gt_cache_v1.0-mini_val.pkl", expected=MapSpec(roi=ROI.parse("100x50"))
    )
    assert command.endswith(f"--roi=100x50 --classes {' '.join(CLASSES)} --out-dir {cache.parent}_100x50")
    assert f"--dataroot {tiny}" in command
    both = MapSpec("ego", ROI.parse("100x50", "ego"), ("divider",))
    assert refused(cache, "its frame", expected=both).endswith("gt_cache_ego_100x50_divider")


def test_another_version_or_split_is_refused(cache):
    assert "--version v1.0-trainval" in refused(
        cache, "v1.0-mini, not v1.0-trainval", version="v1.0-trainval"
    )
    assert "--split train" in refused(cache, "split val, not train", split="train")
    assert (
        gt_cache.load(cache, MapSpec(), split="mini_val", version="v1.0-mini")["metainfo"]["split"] == "val"
    )


def test_another_format_is_refused(cache):
    rewritten(cache, lambda content: content["metainfo"].update(format_version=99))
    refused(cache, "its format is 99")


@pytest.mark.parametrize(
    "edit",
    [
        {"roi": [-15.0, -30.0, 15.0, 31.0]},
        {"frame": "ego"},
        {"classes": ["boundary", "ped_crossing", "divider"]},
        {"split": "train"},
        {"version": "v1.0-trainval"},
        {"map_version": "1.2"},
        {"scenes": ["scene-0061"]},
        {"tables": {}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_edited_metainfo_is_refused(cache, edit):
    rewritten(cache, lambda content: content["metainfo"].update(edit))
    refused(cache, "fingerprint")


def test_another_map_version_is_refused(cache, tiny):
    path = tiny / "maps" / "expansion" / "singapore-onenorth.json"
    path.write_text(path.read_text().replace('"version": "1.3"', '"version": "1.4"'))
    refused(cache, r"maps/expansion/singapore-onenorth\.json in .* have changed")


def test_a_cache_of_another_data_set_of_the_same_names_is_refused(city, cache):
    refused(cache, r"v1\.0-mini/scene\.json.* have changed", dataroot=city)


def test_changed_tables_are_noticed_even_at_the_same_size(cache, tiny):
    table = tiny / "v1.0-mini" / "ego_pose.json"
    table.write_text(table.read_text().replace("210.0", "211.0"))
    refused(cache, r"v1\.0-mini/ego_pose\.json in .* have changed")


def test_changed_map_is_noticed_from_another_folder(tiny, tmp_path):
    path = gt_cache.build(tiny, "v1.0-mini", "val", out_dir=tmp_path / "elsewhere")
    (tiny / "maps" / "expansion" / "singapore-onenorth.json").write_text("{}")
    refused(path, "singapore-onenorth")


def test_touched_or_absent_tables_are_no_reason_to_rebuild(cache, tiny):
    (tiny / "v1.0-mini" / "sample.json").touch()
    gt_cache.load(cache)
    (tiny / "v1.0-mini").rename(tiny / "away")
    gt_cache.load(cache)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(more=1), "keys metainfo and data_list"),
        (lambda c: c["metainfo"].pop("roi"), "lacks 'roi'"),
        (lambda c: c["data_list"].pop(), "num_samples is 3"),
        (lambda c: c["data_list"].__setitem__(1, c["data_list"][0]), "is there twice"),
        (lambda c: c["data_list"][1]["cams"].clear(), r"data_list\[1\]: cams"),
        (lambda c: c["data_list"][2].update(ego2global=np.eye(3)), r"data_list\[2\]: ego2global"),
        (lambda c: c["data_list"][0]["cams"]["CAM_FRONT"].pop("lidar2cam"), r"CAM_FRONT\.lidar2cam"),
        (lambda c: c["data_list"][0]["polylines"][0].update(label=3), "beyond the 3 classes"),
        (lambda c: c["data_list"][0]["polylines"][0].update(points=np.zeros((1, 2))), "shape"),
        (lambda c: c["data_list"][0]["polylines"][0].pop("closed"), "lacks 'closed'"),
        (lambda c: c["metainfo"].update(classes=[1, 2, 3]), "classes"),
        (
            lambda c: c["metainfo"]["tables"].update({"../../x": {"size": 1, "sha256": "", "mtime_ns": 1}}),
            "below",
        ),
    ],
)
def test_malformed_content_is_neither_loaded_nor_saved(cache, change, words):
    rewritten(cache, change)
    refused(cache, words)
    with pytest.raises(MapLLaVAError, match=words):
        gt_cache.save(cache, load_plain(cache))


def test_failed_write_leaves_the_old_file_and_no_litter(cache, monkeypatch):
    content, before = gt_cache.load(cache), cache.read_bytes()

    content["data_list"][0]["polylines"].clear()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MapLLaVAError, match="No space left"):
        gt_cache.save(cache, content)
    assert cache.read_bytes() == before
    assert list(cache.parent.iterdir()) == [cache]


def test_a_direction_that_is_no_bool_is_refused(cache):
    rewritten(cache, lambda content: content["data_list"][0]["polylines"][0].update(directed=1))
    refused(cache, r"polyline.directed is a int, not a bool")


def test_caches_without_directions_are_read_as_before(cache):
    assert "directed" not in gt_cache.load(cache)["data_list"][0]["polylines"][0]


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("kind", ["f8", "f4", "i4"])
def test_arrays_of_the_other_byte_order_are_refused_not_misread(cache, protocol, kind):
    other = np.dtype(kind).newbyteorder()
    content = load_plain(cache)
    line = content["data_list"][2]["polylines"][-1]
    line["points"] = line["points"].astype(other)
    write_sealed(cache, pickle.dumps(content, protocol=protocol))
    refused(cache, "arrays whose byte order is not this machine's")
    line["points"] = line["points"].astype(other.newbyteorder("="))
    write_sealed(cache, pickle.dumps(content, protocol=protocol))
    gt_cache.load(cache)
