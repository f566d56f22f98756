"""Several splits as one data set, whose name for the split lists them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmengine.dataset import ConcatDataset
from torch.utils.data import Dataset

from mapllava.datasets.map_dataset import MapDataset
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS

_OF_EACH = ("split", "version", "map_version", "fingerprint")
"""Meta information that differs between caches of one kind of map."""


@DATASETS.register_module(name="ConcatDataset")
class MapConcatDataset(ConcatDataset):
    """MMEngine's ``ConcatDataset``, for data sets on GT caches of several splits or versions.

    Its ``metainfo`` names them all, for instance the split ``train+val``; frame, ROI and classes must be
    the same.

    Args:
        datasets: Data sets, or their configs.
        **kwargs: Further arguments of :class:`mmengine.dataset.ConcatDataset`.

    Raises:
        MapLLaVAError: If there is none, maps differ, or two share samples of one cache.
    """

    def __init__(self, datasets: Any, **kwargs: Any) -> None:
        listed = isinstance(datasets, (list, tuple)) and datasets
        if not listed or not all(isinstance(each, (Mapping, Dataset)) for each in datasets):
            raise MapLLaVAError(
                f"ConcatDataset has no datasets but {datasets!r}: list one at least, [dict(type=…), …]"
            )
        ignored = kwargs.pop("ignore_keys", None) or []
        ignored = [ignored] if isinstance(ignored, str) else list(ignored)
        try:
            super().__init__(datasets, ignore_keys=[*ignored, *_OF_EACH], **kwargs)
        except (ValueError, TypeError) as error:
            raise MapLLaVAError(
                f"ConcatDataset: {error}. Its data sets must be of one frame, ROI and list of classes"
            ) from error

    def full_init(self) -> None:
        """Read all caches, and describe them together."""
        super().full_init()
        metas = [dataset.metainfo for dataset in self.datasets]
        for key in _OF_EACH:
            names = dict.fromkeys(str(meta[key]) for meta in metas if meta.get(key) is not None)
            if names:
                self._metainfo[key] = "+".join(names)  # metainfo gives a copy
        caches = Counter(meta["fingerprint"] for meta in metas if meta.get("fingerprint"))
        twins = [each for each in self.datasets if caches[each.metainfo.get("fingerprint")] > 1]
        parts = [each for each in twins if isinstance(each, MapDataset)]  # a wrapper's samples are not known
        tokens = Counter(entry["sample_token"] for part in parts for entry in part.entries())
        if len(parts) < len(twins) or any(visits > 1 for visits in tokens.values()):
            raise MapLLaVAError(
                "ConcatDataset: two of its data sets are of one GT cache and share samples; to see samples "
                "more often, use RepeatDataset"
            )
