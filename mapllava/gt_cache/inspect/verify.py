"""Making the ground truth of some samples again from tables and maps, and comparing."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from mapllava.errors import MapLLaVAError
from mapllava.gt_cache import schema, store
from mapllava.gt_cache.builder import finish_scene, scene_job
from mapllava.gt_cache.inspect.compare import SampleComparison
from mapllava.sources.map_source import map_source


def verify(
    cache: Mapping[str, Any],
    dataroot: str | Path | None = None,
    num: int | None = 50,
    seed: int = 0,
    progress: bool = False,
) -> SampleComparison:
    """Compute a random subset of a cache's samples anew and compare poses, cameras and lines.

    Args:
        cache: A GT cache, as :func:`mapllava.gt_cache.load` gives it; it need not be current.
        dataroot: Root of the data set; the one that the cache names by default.
        num: Samples to compute; None takes all.
        seed: Seed of the choice.
        progress: Show a progress bar on the terminal.

    Raises:
        MapLLaVAError: If the data set cannot be read, a scene is no longer there, or ``num`` is not
            positive.
    """
    if num is not None and num < 1:
        raise MapLLaVAError(f"num is {num}: at least one sample is needed")
    meta, entries = cache["metainfo"], cache["data_list"]
    name = f"the cache of {meta['version']}, split {meta['split']}"
    spec = schema.spec_of(meta)
    root = Path(dataroot if dataroot is not None else meta["dataroot"])
    data = map_source(schema.source_of(meta))(root, meta["version"])
    chosen: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for index in _choose(len(entries), num, seed):
        chosen[entries[index]["scene_name"]][entries[index]["sample_token"]] = entries[index]
    missing = sorted(set(chosen) - set(data.present(list(chosen))))
    if missing:
        raise MapLLaVAError(f"{root}, {meta['version']}: lacks the scenes {', '.join(missing[:3])} of {name}")
    now = {**meta, "tables": schema.digest_tables(root, data.files(list(chosen)))}
    now["fingerprint"] = schema.fingerprint(now)
    comparison = SampleComparison()
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "scene.pkl"
        for scene, kept in track(chosen.items(), description="scenes", disable=not progress):
            job = scene_job(data, now, spec, scene, part)
            fresh = [entry for entry in job.entries if entry["sample_token"] in kept]
            finish_scene(replace(job, entries=fresh))
            found = {entry["sample_token"]: entry for entry in store.load_plain(part)}
            for token, entry in kept.items():
                if token not in found:
                    raise MapLLaVAError(f"scene {scene} of {root} has no sample {token}, which {name} holds")
                comparison.add(entry, found[token], meta["classes"])
    return comparison


def _choose(size: int, num: int | None, seed: int) -> list[int]:
    if num is None or num >= size:
        return list(range(size))
    return sorted(np.random.default_rng(seed).choice(size, num, replace=False).tolist())
