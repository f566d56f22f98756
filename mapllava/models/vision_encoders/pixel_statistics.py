"""Means and standard deviations of pixels that pretrained weights expect, against those of the config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object

_TOLERANCE = 0.5  # of 255: a rounded constant is no mistake, another model's statistics are


def pixel_statistics(folder: Path) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of red, green and blue, of 255, that a model's folder states.

    Args:
        folder: with ``preprocessor_config.json`` as transformers writes it, or a ``config.json`` of timm.

    Returns:
        both, or None where the folder states none.
    """
    path = folder / "preprocessor_config.json"
    if path.is_file():
        stated: Mapping[str, Any] = read_json_object(path)
        mean, std = stated.get("image_mean"), stated.get("image_std")
        scale = float(stated.get("rescale_factor") or 1 / 255) if stated.get("do_rescale", True) else 1.0
        if not stated.get("do_normalize", True):
            mean, std = [0.0] * 3, [1.0] * 3
    else:
        timm = read_json_object(folder / "config.json").get("pretrained_cfg") or {}
        mean, std, scale = timm.get("mean"), timm.get("std"), 1 / 255
    if not mean or not std:
        return None
    return [round(value / scale, 3) for value in mean], [round(value / scale, 3) for value in std]


def check_pixel_statistics(encoder: nn.Module, preprocessor: Any) -> None:
    """Refuse images normalised by other statistics than the encoder's weights were trained with.

    Args:
        encoder: with ``pixel_statistics``, or without.
        preprocessor: with ``mean`` and ``std`` (3, 1, 1), or without; it is another's then.

    Raises:
        MapLLaVAError: with the lines that set it right.
    """
    expected = getattr(encoder, "pixel_statistics", None)
    mean, std = getattr(preprocessor, "mean", None), getattr(preprocessor, "std", None)
    if expected is None or not isinstance(mean, Tensor) or not isinstance(std, Tensor) or mean.is_meta:
        return
    found = mean.flatten().tolist(), std.flatten().tolist()
    pairs = zip([*expected[0], *expected[1]], [*found[0], *found[1]], strict=True)
    if any(abs(wanted - given) > _TOLERANCE for wanted, given in pairs):
        told = [[round(value, 3) for value in values] for values in found]
        raise MapLLaVAError(
            f"model.data_preprocessor normalises with mean={told[0]}, std={told[1]}, but the weights of "
            f"{type(encoder).__name__} were trained with others: write data_preprocessor=dict("
            f"mean={expected[0]}, std={expected[1]})"
        )
