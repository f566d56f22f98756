"""Pictures of a GT cache's samples, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapllava import gt_cache
from mapllava.datasets import MapDataset
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import spec_of
from mapllava.visualization import MapLines, camera_views, draw_sample, write_picture


def draw_samples(
    path: str | Path,
    out_dir: str | Path,
    dataroot: str | Path | None = None,
    tokens: Sequence[str] | None = None,
    num: int = 8,
    seed: int = 0,
) -> Iterator[Path]:
    """Draw samples: the ground truth from above and, where the images are, in the six cameras.

    Args:
        path: The GT cache.
        out_dir: Folder of the PNG files; made if missing.
        dataroot: Root with the images; the one that the cache names by default. Without images
            the map is drawn alone.
        tokens: Samples to draw; None chooses ``num`` at random.
        num: Samples to choose.
        seed: Seed of the choice.

    Yields:
        Paths of the pictures, ``<scene>_<sample token>.png``.

    Raises:
        MapLLaVAError: If the cache cannot be read, holds no such sample, or a picture cannot be
            written.
    """
    meta = gt_cache.load(path, check_sources=False)["metainfo"]
    root = str(dataroot if dataroot is not None else meta["dataroot"])
    spec = spec_of(meta)
    dataset = MapDataset(str(Path(path).resolve()), spec, root if Path(root).is_dir() else "")
    index = {dataset.get_data_info(i)["sample_token"]: i for i in range(len(dataset))}
    unknown = [token for token in tokens or () if token not in index]
    if unknown:
        raise MapLLaVAError(f"{path} (split {meta['split']}) holds no sample {', '.join(unknown[:3])}")
    if tokens is None:
        count = min(num, len(dataset))
        places = np.sort(np.random.default_rng(seed).choice(len(dataset), count, replace=False)).tolist()
    else:
        places = [index[token] for token in tokens]
    for place in places:
        info = dataset.get_data_info(place)
        name = f"{info['scene_name']}_{info['sample_token']}.png"
        yield write_picture(Path(out_dir) / name, _picture(info, spec))


def _picture(info: dict[str, Any], spec: Any) -> np.ndarray:
    lines = MapLines(
        [line.points for line in info["polylines"]],
        np.array([line.label for line in info["polylines"]], dtype=np.int64),
    )
    meta = {**info, "map_spec": spec.to_config(), "ori_cam2img": info["cam2img"]}
    return draw_sample(meta, camera_views(meta), lines, None)
