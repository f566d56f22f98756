"""A transform of one's own: the cameras' gamma, drawn per sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mapllava.datasets.transforms.rng import fresh_generator
from mapllava.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GammaMultiView(BaseTransform):
    """Raise every image's brightness to a power, the same for all cameras of a sample.

    Required Keys:

    - img: N images (H, W, 3) uint8, BGR

    Modified Keys:

    - img: as before, darker or brighter

    Args:
        gamma: smallest and largest exponent.

    Raises:
        ValueError: if they are not two positive numbers in order.
    """

    def __init__(self, gamma: Sequence[float] = (0.7, 1.4)) -> None:
        if len(gamma) != 2 or not 0 < gamma[0] <= gamma[1]:
            raise ValueError(f"GammaMultiView.gamma is {gamma!r}: use 0 < low <= high")
        self.gamma = (float(gamma[0]), float(gamma[1]))

    def transform(self, results: dict) -> dict:
        """Draw from the generator that is new at every visit of the sample, then look each value up."""
        exponent = fresh_generator().uniform(*self.gamma)
        table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
        results["img"] = [table[img] for img in results["img"]]
        return results
