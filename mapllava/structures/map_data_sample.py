"""The sample that pipeline, model and evaluator pass on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mapllava.errors import MapLLaVAError


class MapDataSample(BaseDataElement):
    """Ground truth, predictions and meta information of one moment.

    Fields:

    * ``gt_instances``: ``labels`` (G,) int64, ``points`` (G, P, 2) float32 metres, ``orders``
      (G, O, P, 2) float32 metres with all equivalent vertex orders, ``closed`` and ``directed``
      (G,) bool.
    * ``pred_instances``: ``points`` (K, P, 2) float32 metres, ``scores`` (K,), ``labels`` (K,).
    * ``gt_bev``: ``data`` (C, Y, X) uint8; row 0 is the ROI's ``y_min``, column 0 its ``x_min``.

    Meta information may hold a ``prompt``, a text that takes the place of the decoder's own.

    Setting a field to a value of another type raises ``AssertionError`` (MMEngine's convention).
    """

    @property
    def gt_instances(self) -> InstanceData:
        """Ground-truth lines; raises AttributeError when unset."""
        return self._gt_instances

    @gt_instances.setter
    def gt_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_gt_instances", dtype=InstanceData)

    @gt_instances.deleter
    def gt_instances(self) -> None:
        del self._gt_instances

    @property
    def pred_instances(self) -> InstanceData:
        """Predicted lines; raises AttributeError when unset."""
        return self._pred_instances

    @pred_instances.setter
    def pred_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_pred_instances", dtype=InstanceData)

    @pred_instances.deleter
    def pred_instances(self) -> None:
        del self._pred_instances

    @property
    def gt_bev(self) -> PixelData:
        """Rasterised ground truth; raises AttributeError when unset."""
        return self._gt_bev

    @gt_bev.setter
    def gt_bev(self, value: PixelData) -> None:
        self.set_field(value, "_gt_bev", dtype=PixelData)

    @gt_bev.deleter
    def gt_bev(self) -> None:
        del self._gt_bev


def sample_names(batch: Any) -> list[str]:
    """Tokens of a collated batch's samples, or their numbers; empty where the batch has none."""
    samples = batch.get("data_samples") if isinstance(batch, Mapping) else None
    return [str(sample.get("sample_token", index)) for index, sample in enumerate(samples or [])]


def prompts_of(samples: Sequence[MapDataSample] | None) -> list[str | None] | None:
    """The prompt of every sample, None where it has none; None if no sample has one.

    Raises:
        MapLLaVAError: if a prompt is no text or an empty one.
    """
    prompts = [sample.metainfo.get("prompt") for sample in samples or ()]
    for sample, prompt in zip(samples or (), prompts, strict=True):
        if prompt is not None and not (isinstance(prompt, str) and prompt.strip()):
            raise MapLLaVAError(
                f"sample {sample.metainfo.get('sample_token')}: its prompt is {prompt!r}; a transform that "
                "sets one gives a text, or leaves it out for the decoder's own"
            )
    return prompts if any(prompt is not None for prompt in prompts) else None


def to_numpy(values: Any) -> np.ndarray:
    """A tensor of any shape, dtype and device, or anything array-like, as an array of that shape.

    Floating-point tensors become float32, so that half precisions that numpy lacks pass too.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return values.numpy()
    return np.asarray(values)
