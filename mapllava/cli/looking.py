"""What the commands that look at samples share: which files, which images are missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.store import stale_reason

if TYPE_CHECKING:
    from mapllava.apis.album import Album, ShownSample

_NAMED = 3


def open_album(
    files: Sequence[Path], cache: Path | None, dataroot: Path | None, score_thr: float | None = None
) -> Album:
    """The samples of a GT cache (``.pkl``), or of results files (``.json``), with a cache or without.

    Raises:
        MapLLaVAError: If a file is of neither kind, cannot be read, or they do not belong together.
    """
    from mapllava.apis.album import Album, names_of
    from mapllava.evaluation.formats import read_results
    from mapllava.evaluation.results_file import load_results

    for path in files:
        if path.suffix not in (".pkl", ".json"):
            raise MapLLaVAError(f"'{path}': give a GT cache (.pkl) or a results file (.json)")
    caches = [path for path in files if path.suffix == ".pkl"]
    results = [path for path in files if path.suffix == ".json"]
    if len(caches) + (cache is not None) > 1:
        raise MapLLaVAError("two GT caches are named: give one")
    found = cache if cache is not None else next(iter(caches), None)
    content = None if found is None else gt_cache.load(found, check_sources=False)
    if content is not None and found is not None:
        reason = stale_reason(content["metainfo"], found, dataroot)
        if reason:
            warn(f"the cache is stale, {reason}; the pictures show what it holds")
    names = names_of(results) if results else []
    loaded = [load_results(file) if content is None else read_results(file, content) for file in results]
    for one in loaded:
        if one.prompt is not None:
            warn(f"{one.name} holds what the prompt '{one.prompt.canonical}' asked for alone, no whole maps")
    album = Album(content, dict(zip(names, loaded, strict=True)), dataroot, score_thr)
    if album.without_record:
        warn(f"{album.without_record} samples of '{results[0]}' are left out: no cameras are named")
    return album


def warn_of_missing(samples: Sequence[ShownSample]) -> None:
    """Say on stderr which images are not there, or are none."""
    from mapllava.apis.album import missing_images

    missing, total = missing_images(samples), sum(len(sample.cameras) for sample in samples)
    if not missing:
        return
    some = ", ".join(missing[:_NAMED]) + (" and so on" if len(missing) > _NAMED else "")
    if len(missing) == total:
        remedy = (
            ""
            if any(camera.there for sample in samples for camera in sample.cameras)
            else ("; the map is drawn alone: name --dataroot")
        )
        warn(f"none of the {total} images is there ({some}){remedy}")
    else:
        warn(f"{len(missing)} of {total} images are missing, their places in the pictures say so: {some}")


def warn(text: str) -> None:
    """Write a warning to the standard error."""
    sys.stderr.write(f"warning: {text}\n")
