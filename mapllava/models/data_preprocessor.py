"""From collated samples to a batch on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS

_CAMERA_KEYS = ("lidar2img", "cam2img", "lidar2cam")


@MODELS.register_module()
class MapDataPreprocessor(BaseDataPreprocessor):
    """Stack, move, and normalise on the device; add the cameras' matrices.

    The data samples stay on the CPU: targets are assembled there, and the metric works there.

    Args:
        mean: Three means in the order of the returned channels, of 255.
        std: Three standard deviations, likewise.
        bgr_to_rgb: Turn the channels' order, so that the model sees RGB.
        non_blocking: Move without waiting; useful with pinned memory.

    Raises:
        ValueError: If mean or std have not three values, or a std is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking)
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != 3:
                raise ValueError(f"MapDataPreprocessor.{name} is {values!r}: use three values, of 255")
        if min(std) <= 0:
            raise ValueError(f"MapDataPreprocessor.std is {std!r}: it must be positive")
        self.bgr_to_rgb = bgr_to_rgb
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Make the model's batch (B samples, N cameras).

        Args:
            data: ``inputs`` with ``img`` (B tensors (N, 3, H, W) uint8, or one of (B, N, 3, H, W));
                ``data_samples`` (B samples, or None).
            training: Not used; training and test see the same.

        Returns:
            ``inputs`` with ``img`` (B, N, 3, H, W) float32, ``lidar2img`` and ``lidar2cam``
            (B, N, 4, 4), ``cam2img`` (B, N, 3, 3) float32 as far as given; and ``data_samples`` as they
            came.

        Raises:
            MapLLaVAError: If images differ in shape, or a sample lacks a matrix.
        """
        raw = data.get("inputs") if isinstance(data, Mapping) else None
        if not isinstance(raw, Mapping) or "img" not in raw:
            gave = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
            raise MapLLaVAError(
                f"the data set's samples have {gave}, no inputs['img']: end its pipeline in PackMapInputs"
            )
        samples = data.get("data_samples")
        inputs = {name: self._batch(name, value) for name, value in raw.items()}
        inputs["img"] = self._normalise(inputs["img"])
        if samples:
            keys = [key for key in _CAMERA_KEYS if self._needs(key, samples)]
            inputs.update({key: self._matrices(key, samples) for key in keys})
        return {"inputs": inputs, "data_samples": samples}

    def _batch(self, name: str, values: Tensor | Sequence[Tensor]) -> Tensor:
        if isinstance(values, Tensor):
            return self._move(values)
        shapes = [tuple(value.shape) for value in values]
        if len(set(shapes)) > 1:
            raise MapLLaVAError(
                f"inputs['{name}'] has shapes {shapes} within one batch; all samples must have the same: "
                "images through LoadMultiViewImages(size=(w, h)) or ResizeMultiView"
            )
        return torch.stack([self._move(value) for value in values])

    def _move(self, values: Tensor) -> Tensor:
        return self.cast_data(values)

    def _normalise(self, img: Tensor) -> Tensor:
        if img.dim() != 5 or img.shape[2] != 3:
            raise MapLLaVAError(f"inputs['img'] has shape {tuple(img.shape)}, not (B, N, 3, H, W)")
        if self.bgr_to_rgb:
            img = img.flip(2)  # channels of (B, N, 3, H, W), still uint8: a quarter of the bytes
        return (img.float() - self.mean).div_(self.std)

    @staticmethod
    def _needs(key: str, samples: Sequence[Any]) -> bool:
        return key == "lidar2img" or all(key in sample.metainfo_keys() for sample in samples)

    def _matrices(self, key: str, samples: Sequence[Any]) -> Tensor:
        try:
            stacked = np.stack([np.asarray(sample.metainfo[key], dtype=np.float32) for sample in samples])
        except KeyError as error:
            raise MapLLaVAError(f"a sample has no meta information '{key}': use PackMapInputs") from error
        return self._move(torch.from_numpy(stacked))
