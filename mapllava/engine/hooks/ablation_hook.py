"""Tests a model on inputs that are wrong on purpose: does it read the pictures and the cameras?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS

ABLATIONS = {
    "blank": "all images are the mean grey",
    "shuffle-cameras": "each camera gets the image of another, calibration stays",
    "wrong-extrinsics": "the cameras are turned by 60 degrees",
    "other-sample": "the images of a sample from another scene",
}
"""What can be spoilt of a model's input."""


@HOOKS.register_module()
class AblationHook(Hook):
    """Alters every test batch after the data preprocessor; labels stay as they are.

    A model that uses its input scores far lower on each of them.

    Args:
        mode: One of :data:`ABLATIONS`.
        yaw: Degrees, for ``wrong-extrinsics``.

    Raises:
        MapLLaVAError: If the mode is another, or the data have one scene only (``other-sample``).
    """

    def __init__(self, mode: str, yaw: float = 60.0) -> None:
        if mode not in ABLATIONS:
            raise MapLLaVAError(f"ablation '{mode}' is not one of {', '.join(ABLATIONS)}")
        self.mode = mode
        self.yaw = yaw
        self._dataset: Any = None
        self._scenes: list[str] = []
        self._index: dict[str, int] = {}
        self._handle: Any = None

    def before_test(self, runner: Runner) -> None:
        """Stand behind the model's data preprocessor."""
        model = unwrap_model(runner.model)
        if self.mode == "other-sample":
            self._read_scenes(runner.test_dataloader.dataset)
        preprocessor = cast(nn.Module, model.data_preprocessor)
        self._handle = preprocessor.register_forward_hook(self._alter)
        runner.logger.warning(f"ABLATION {self.mode}: the numbers below are not the model's score")

    def after_test(self, runner: Runner) -> None:
        """Leave the model as it was."""
        self._handle.remove()

    def _alter(self, preprocessor: nn.Module, _: tuple, output: dict) -> dict:
        if self.mode == "other-sample":
            images = self._foreign_images(preprocessor, output["data_samples"])
            return {**output, "inputs": {**output["inputs"], "img": images}}
        return {**output, "inputs": spoil(output["inputs"], self.mode, self.yaw)}

    def _read_scenes(self, dataset: Any) -> None:
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        self._scenes = [info["scene_token"] for info in infos]
        self._index = {info["sample_token"]: index for index, info in enumerate(infos)}
        self._dataset = dataset
        if len(set(self._scenes)) < 2:
            raise MapLLaVAError("ablation 'other-sample' needs at least two scenes, the data have one")

    def _foreign_images(self, preprocessor: nn.Module, samples: list) -> Tensor:
        """Images (B, N, 3, H, W) of as many samples from other scenes, half the data set away."""
        donors = [
            self._dataset[donor_of(self._index[sample.sample_token], self._scenes)] for sample in samples
        ]
        self._handle.remove()
        try:
            images = preprocessor(pseudo_collate(donors), False)["inputs"]["img"]
        finally:
            self._handle = preprocessor.register_forward_hook(self._alter)
        return images


def spoil(inputs: dict[str, Tensor], mode: str, yaw: float = 60.0) -> dict[str, Tensor]:
    """A model's inputs, made wrong on purpose; what is not altered is shared with the given dict.

    Args:
        inputs: ``img`` (B, N, 3, H, W) normalised, ``lidar2img`` and perhaps ``lidar2cam`` (B, N, 4, 4).
        mode: ``blank``, ``shuffle-cameras`` or ``wrong-extrinsics``; see :class:`AblationHook`.
        yaw: Degrees, for ``wrong-extrinsics``.

    Raises:
        MapLLaVAError: If the mode is another.
    """
    inputs = dict(inputs)
    if mode == "blank":
        inputs["img"] = torch.zeros_like(inputs["img"])
    elif mode == "shuffle-cameras":
        cameras = inputs["img"].shape[1]
        inputs["img"] = inputs["img"].roll(max(cameras // 2, 1), dims=1)
    elif mode == "wrong-extrinsics":
        for key in ("lidar2img", "lidar2cam"):
            if key in inputs:
                inputs[key] = inputs[key] @ _yaw_matrix(yaw, inputs[key])
    else:
        raise MapLLaVAError(f"ablation '{mode}' is not one that alters inputs by themselves")
    return inputs


def donor_of(index: int, scenes: Sequence[str]) -> int:
    """A sample of another scene, about half the data set away.

    Args:
        index: Of the sample that gets the other's images.
        scenes: Scene of every sample, of at least two scenes.
    """
    count = len(scenes)
    candidates = ((index + count // 2 + step) % count for step in range(count))
    return next(other for other in candidates if scenes[other] != scenes[index])


def _yaw_matrix(degrees: float, like: Tensor) -> Tensor:
    """(4, 4) rotation about z."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.eye(4, dtype=like.dtype, device=like.device)
    matrix[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]], dtype=like.dtype, device=like.device)
    return matrix
