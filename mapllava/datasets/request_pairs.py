"""Sentences and the requests they mean, made from the grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from mapllava.errors import MapLLaVAError
from mapllava.language.wording import PARTS, Pair, sample_pair, sample_pairs
from mapllava.registry import DATASETS
from mapllava.structures.frames import MapSpec


@DATASETS.register_module()
class RequestPairs(Dataset):
    """Pairs of :func:`mapllava.language.wording.sample_pairs`, a sentence as ``inputs`` of each.

    Args:
        count: pairs of every part.
        map_spec: ``dict(frame=…, roi=…, classes=…)``; written here from the config's top level.
        language: ``en``, ``zh`` or ``both``.
        parts: of the wording: ``train``, ``templates`` (held-out templates), ``words`` (held-out words).
        seed: of the pairs, which then always are the same; None draws each anew whenever it is read, from
            numpy's generator, which the runner seeds by epoch and place.

    Attributes:
        metainfo: ``version`` and ``split``, as for data sets on GT caches.

    Raises:
        MapLLaVAError: if there is no such part, or no pair.
    """

    def __init__(
        self,
        count: int,
        map_spec: Mapping[str, Any],
        language: str = "both",
        parts: Sequence[str] = ("train",),
        seed: int | None = None,
    ) -> None:
        unknown = [part for part in parts if part not in PARTS]
        if unknown or not parts or count < 1:
            raise MapLLaVAError(
                f"RequestPairs(count={count}, parts={list(parts)}): count is at least 1, parts are of "
                f"{', '.join(PARTS)}"
            )
        self.classes = MapSpec.from_config(map_spec).classes
        self.count, self.language, self.parts = count, language, tuple(parts)
        self.metainfo = {"version": f"requests ({language})", "split": "+".join(self.parts)}
        self._pairs: list[Pair] | None = None
        if seed is not None:
            made = (sample_pairs(seed, count, language, part, self.classes) for part in self.parts)
            self._pairs = [pair for pairs in made for pair in pairs]

    def __len__(self) -> int:
        """Pairs of all parts."""
        return self.count * len(self.parts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs``, the sentence, and ``data_samples``, its pair as meta information."""
        if self._pairs is not None:
            pair = self._pairs[index]
        else:
            seed = int(np.random.randint(2**31))  # noqa: NPY002 - seeded by the visit
            part = self.parts[index // self.count]
            pair = sample_pair(seed, index % self.count, self.language, part, self.classes)
        meta = {
            "sample_token": f"{pair.part} {index}: {pair.text}",
            "text": pair.text,
            "canonical": pair.canonical,
            "kind": pair.kind,
            "language": pair.language,
            "part": pair.part,
        }
        return {"inputs": pair.text, "data_samples": BaseDataElement(metainfo=meta)}
