"""The configs of the page 'Change one thing', and data of one's own for its last one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from mapllava import gt_cache
from tests.documents.blocks import ROOT, blocks

CHANGE = ROOT / "docs" / "en" / "change.md"
RECIPES = {found[1]: b.text for b in blocks(CHANGE, "python") if (found := re.match(r"# (\w+)\.py", b.text))}


def write_own_data(root: Path, data_root: Path, cache: Path) -> None:
    """Two samples of a cache in the page's form: four cameras under other names.

    Args:
        root: where to write; the page has data/mine.
        data_root: of the cache.
        cache: a GT cache.
    """
    names = {"CAM_FRONT": "front", "CAM_FRONT_LEFT": "left", "CAM_FRONT_RIGHT": "right", "CAM_BACK": "rear"}
    root.mkdir(parents=True)
    (root / "samples").symlink_to(data_root.absolute() / "samples")
    entries = gt_cache.load(cache)["data_list"][:2]
    for entry in entries:
        entry["cams"] = {name: entry["cams"][old] for old, name in names.items()}
    for split in ("train", "val"):
        (root / f"{split}.json").write_text(json.dumps(entries, default=np.ndarray.tolist))
