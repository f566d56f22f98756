"""The data set on a GT cache, which needs nothing but the cache and the images that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from mapllava import gt_cache
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import rebuild_command
from mapllava.registry import DATASETS, TRANSFORMS
from mapllava.structures.frames import CLASSES, MapSpec
from mapllava.structures.map_elements import Polyline

_META_KEYS = ("frame", "roi", "split", "version", "map_version", "fingerprint")


@DATASETS.register_module()
class MapDataset(BaseDataset):
    """Surround-camera samples with a vector map, read from a GT cache.

    A sample that cannot be read is an error that names the file; another sample never takes its
    place. ``dataset[i]`` is what the last transform returns.

    What the first transform receives (N cameras):

    * ``sample_token``, ``scene_token``, ``scene_name``, ``location``, ``split``: str;
      ``timestamp``: int, µs; ``sample_idx``: int
    * ``lidar2ego``, ``ego2global``: (4, 4) float64
    * ``cam_names``: N names; ``img_paths``: N paths, joined with the data root
    * ``cam2img``: (N, 3, 3) float64, pixels of the stored image, pixel centres at integer (u, v)
    * ``lidar2cam``: (N, 4, 4) float64, **map frame** to camera. In the ``lidar`` frame this is the
      cache's matrix; in the ``ego`` frame the LiDAR mounting is already divided out of it.
    * ``polylines``: list of :class:`~mapllava.structures.map_elements.Polyline`, raw (as clipped),
      metres in the map frame
    * ``map_spec``: :class:`~mapllava.structures.frames.MapSpec`; ``flip``: False

    Args:
        ann_file: The cache; relative to ``data_root`` unless absolute.
        map_spec: ``dict(frame=…, roi=…, classes=…)``; written here from the config's top level.
        data_root: Folder that the cache's image paths are relative to.
        pipeline: Transforms, as dicts or callables.
        test_mode: MMEngine's flag; a broken sample raises either way.
        **kwargs: Further arguments of :class:`mmengine.dataset.BaseDataset` (``indices``,
            ``serialize_data``, ``lazy_init``, ``metainfo`` …).

    Raises:
        MapLLaVAError: If the data root or the cache is missing (the text holds the command that
            makes it), the cache is stale or was made for another map specification, or a transform cannot
            serve the map specification.
    """

    METAINFO: dict = {"classes": CLASSES}

    def __init__(
        self,
        ann_file: str,
        map_spec: Mapping[str, Any] | MapSpec | None = None,
        data_root: str = "",
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        if map_spec is None:
            raise MapLLaVAError(
                f"{type(self).__name__}.map_spec is missing: build from config.resolve.resolve(cfg), which "
                "writes the config's top-level map_spec into every component"
            )
        self.map_spec = MapSpec.from_config(map_spec)
        self.asked: Any = kwargs.get("indices")
        self.split: str | None = None
        super().__init__(
            ann_file=os.path.expanduser(ann_file),
            data_root=os.path.expanduser(data_root),
            pipeline=[TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline],
            test_mode=test_mode,
            **kwargs,
        )
        for step in self.pipeline.transforms:
            if hasattr(step, "check_map_spec"):
                step.check_map_spec(self.map_spec)

    def load_data_list(self) -> list[dict]:
        """Read the cache.

        Returns:
            One dict per sample, as the cache stores it.

        Raises:
            MapLLaVAError: If the cache is missing, stale, foreign or empty.
        """
        if self.data_root and not Path(self.data_root).is_dir():
            raise MapLLaVAError(
                f"data root '{self.data_root}' is not a folder: put nuScenes there, or make a synthetic city "
                f"with mapllava city, or set data_root"
            )
        cache = gt_cache.load(self.ann_file, expected=self.map_spec, dataroot=self.data_root or None)
        self.split = cache["metainfo"].get("split")
        found = {key: cache["metainfo"][key] for key in _META_KEYS}
        self._metainfo.update(found, classes=tuple(self.map_spec.classes))  # metainfo gives a copy
        if not cache["data_list"]:
            raise MapLLaVAError(f"{self.ann_file} holds no samples; rebuild it:\n  {self._rebuild_command()}")
        self._check_indices(len(cache["data_list"]))
        return list(cache["data_list"])

    def _check_indices(self, count: int) -> None:
        """Refuse to take more samples than there are, where MMEngine would take what it finds."""
        asked, places = self.asked, range(-count, count)
        if asked is None:
            return
        if isinstance(asked, Sequence) and not isinstance(asked, str):
            fits = bool(asked) and all(type(place) is int and place in places for place in asked)
        else:
            fits = type(asked) is int and asked != 0 and abs(asked) <= count  # True is no number
        if not fits:
            raise MapLLaVAError(
                f"indices is {asked!r}, and {self.ann_file} holds {count:,} samples: use the number of "
                f"samples from the front (below 0: from the end), up to {count}, or a list of places"
            )

    def entries(self) -> Iterator[dict]:
        """The samples as the cache stores them."""
        return (super(MapDataset, self).get_data_info(idx) for idx in range(len(self)))

    def get_cat_ids(self, idx: int) -> list[int]:
        """Classes that a sample's map has lines of, for ``ClassBalancedDataset``."""
        return sorted({int(line["label"]) for line in super().get_data_info(idx)["polylines"]})

    def get_data_info(self, idx: int) -> dict:
        """The sample as the first transform receives it; see the class for the keys.

        Raises:
            MapLLaVAError: If the cache's entry is broken; names cache, sample and key.
        """
        entry = super().get_data_info(idx)
        try:
            return read_entry(entry, self.map_spec, self.split, self.data_root)
        except (KeyError, TypeError, ValueError) as error:
            token = entry.get("sample_token", f"number {idx}")
            raise MapLLaVAError(
                f"{self.ann_file}: sample {token} is broken ({type(error).__name__}: {error}); "
                f"rebuild the cache:\n  {self._rebuild_command()}"
            ) from error

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on one sample.

        Raises:
            MapLLaVAError: If a transform returns no dict (where MMEngine would swap in another sample), or
                needs a key that none before it has made; names the transform.
        """
        info = self.get_data_info(idx)
        token = info["sample_token"]
        data: Any = info
        for transform in self.pipeline.transforms:
            name, keys = type(transform).__name__, data.keys()
            try:
                data = transform(data)
            except KeyError as error:
                if not error.args or error.args[0] in keys:
                    raise
                raise MapLLaVAError(
                    f"{name} needs the key {error} of sample {token}, which no step before it in the "
                    f"pipeline has made; there are {', '.join(map(str, keys))}"
                ) from error
            if not isinstance(data, dict):
                gave = "None" if data is None else f"a {type(data).__name__}"
                raise MapLLaVAError(
                    f"{name} returned {gave} for sample {token} ({self.ann_file}), not the sample's dict: "
                    "samples are never skipped here, so it must raise and name the file instead"
                )
        return data

    def _rebuild_command(self) -> str:
        return rebuild_command(Path(self.ann_file), {"dataroot": self.data_root}, self.map_spec)


def read_entry(entry: Mapping[str, Any], map_spec: MapSpec, split: str | None, data_root: str | Path) -> dict:
    """An entry of a GT cache as the first transform receives it; see :class:`MapDataset` for the keys.

    Args:
        entry: As the cache stores it.
        map_spec: Of the cache.
        split: Name of the split.
        data_root: Folder that the image paths are relative to.

    Raises:
        KeyError, TypeError, ValueError: If a key is missing or holds something else.
    """
    cams = entry["cams"]
    if not cams:
        raise ValueError("it has no cameras")
    lidar2cam = np.stack([_matrix(cam["lidar2cam"], 4) for cam in cams.values()])
    if map_spec.frame == "ego":
        lidar2cam = lidar2cam @ np.linalg.inv(_matrix(entry["lidar2ego"], 4))
    results = {key: value for key, value in entry.items() if key != "cams"}
    results.update(
        sample_token=entry["sample_token"],
        split=split,
        lidar2ego=_matrix(entry["lidar2ego"], 4),
        ego2global=_matrix(entry["ego2global"], 4),
        cam_names=list(cams),
        img_paths=[str(Path(data_root) / cam["img_path"]) for cam in cams.values()],
        cam2img=np.stack([_matrix(cam["cam2img"], 3) for cam in cams.values()]),
        lidar2cam=lidar2cam,
        polylines=[Polyline.from_dict(line) for line in entry["polylines"]],
        map_spec=map_spec,
        flip=False,
    )
    return results


def _matrix(values: Any, size: int) -> np.ndarray:
    matrix = np.array(values, dtype=np.float64)
    if matrix.shape != (size, size):
        raise ValueError(f"a matrix has shape {matrix.shape}, not {(size, size)}")
    return matrix
