"""TensorBoard's events in the run folder, where TensorBoard is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

from mmengine.logging import print_log
from mmengine.visualization import TensorboardVisBackend

from mapllava.registry import VISBACKENDS


@VISBACKENDS.register_module()
class OptionalTensorboardVisBackend(TensorboardVisBackend):
    """MMEngine's TensorBoard backend, which says once that it writes nothing where the extra is missing.

    Args:
        save_dir: Folder of the events.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self._missing = importlib.util.find_spec("tensorboard") is None
        if self._missing:
            print_log(
                "No TensorBoard events: tensorboard is not installed, pip install -e '.[tensorboard]'; "
                "scalars.json and mapllava analyze need it not",
                "current",
            )

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Write the config."""
        if not self._missing:
            super().add_config(config, **kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Write a picture ``(H, W, 3)`` uint8 RGB."""
        if not self._missing:
            super().add_image(name, image, step, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Write one value of a step."""
        if not self._missing:
            super().add_scalar(name, value, step, **kwargs)

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Write several values of a step."""
        if not self._missing:
            super().add_scalars(scalar_dict, step, file_path, **kwargs)
