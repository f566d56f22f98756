from __future__ import annotations

from pathlib import Path

import pytest

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import fingerprint, rebuild_command


@pytest.mark.parametrize(
    ("version", "split", "name"),
    [
        ("v1.0-mini", "train", "gt_cache_v1.0-mini_train.pkl"),
        ("v1.0-mini", "mini_val", "gt_cache_v1.0-mini_val.pkl"),
        ("v1.0-trainval", "lists/geo.json:val", "gt_cache_v1.0-trainval_geo-val.pkl"),
    ],
)
def test_file_names(version, split, name):
    assert gt_cache.cache_path("d", version, split) == Path("d/gt_cache") / name
    assert gt_cache.cache_path("d", version, split, "o") == Path("o") / name


def test_unknown_split_has_no_file():
    with pytest.raises(MapLLaVAError, match="unknown split"):
        gt_cache.cache_path("d", "v1.0-mini", "test")


def test_fingerprint_moves_with_everything_that_decides_the_content(tiny):
    metainfo = gt_cache.load(gt_cache.build(tiny, "v1.0-mini", "val"))["metainfo"]
    changes = {
        "format_version": 2,
        "frame": "ego",
        "roi": [0, 0, 1, 1],
        "classes": ["divider"],
        "split": "train",
        "version": "v1.0-trainval",
        "map_version": "1.4",
        "scenes": [],
        "tables": {name: {**t, "sha256": "0"} for name, t in metainfo["tables"].items()},
    }
    prints = {fingerprint({**metainfo, key: value}) for key, value in changes.items()}
    assert metainfo["fingerprint"] not in prints
    assert len(prints) == len(changes)
    assert fingerprint({**metainfo, "dataroot": "/elsewhere"}) == metainfo["fingerprint"]


def test_command_quotes_what_a_shell_would_split():
    command = rebuild_command(Path("/my data/gt_cache/gt_cache_v1.0-mini_val.pkl"))
    assert command.endswith("--dataroot '/my data' --version v1.0-mini --split val")


def test_command_leaves_a_gap_for_what_nobody_knows():
    assert "--dataroot <dataroot> --version <version>" in rebuild_command(Path("/tmp/some.pkl"))
