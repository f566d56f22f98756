"""timm's models as image backbones; needs timm, which is imported when a config asks for it.

Shapes: B images, C channels, (h, w) cells of a level.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.checkpoint import KeyTable
from mapllava.config.mistake import check_names
from mapllava.errors import MapLLaVAError

# what lets a family of timm's take images of any size; others know none of them
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


@dataclass
class TimmConfig:
    """What ``timm.create_model`` gets.

    Attributes:
        architecture: timm's name of the model, without a tag of weights.
        levels: its ``out_indices``.
        model_args: further arguments.
    """

    architecture: str
    levels: tuple[int, ...]
    model_args: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Its values, as a config of transformers gives them."""
        return vars(self)


def timm_config(
    values: Mapping[str, Any], levels: Sequence[int], drop_path: float | None, component: str
) -> TimmConfig:
    """The config of a model: from a ``config.json`` that timm has written, or our config's ``architecture``.

    Args:
        values: ``architecture`` and, where it has some, ``model_args``.
        levels: the model's ``out_indices``.
        drop_path: rate of stochastic depth; None leaves the model's own.
        component: what messages call the part.

    Raises:
        MapLLaVAError: if timm is missing, or has no such model.
    """
    timm = _timm()
    name = str(values["architecture"])
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('.')[0][:6]}*")[:6])
        raise MapLLaVAError(
            f"{component}: timm has no model '{name}'"
            + (f"; it has {near}" if near else "; see timm.list_models()")
        )
    if "pretrained_cfg" not in values:
        check_names(f"{component}.architecture", values, ("architecture", "model_args"))
    arguments = dict(values.get("model_args") or {})
    if drop_path is not None:
        arguments["drop_path_rate"] = drop_path
    return TimmConfig(name, tuple(levels), arguments)


class TimmFeatures(nn.Module):
    """A ``features_only`` model of timm, called as a backbone of transformers is.

    Args:
        config: which model.

    Attributes:
        strides: pixels per cell of each level, as timm says.

    Raises:
        MapLLaVAError: if the model has no such levels, or does not take the arguments.
    """

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        self.name = config.architecture
        self.body = _create(config)
        self.strides = list(self.body.feature_info.reduction())

    @classmethod
    def build_from(
        cls, config: TimmConfig, dtype: torch.dtype | None = None, attn_implementation: str | None = None
    ) -> TimmFeatures:
        """As transformers' models are built; timm chooses its attention by itself."""
        return cls(config).to(dtype)

    @property
    def supports_gradient_checkpointing(self) -> bool:
        """Whether the model recomputes activations."""
        return hasattr(self.body, "set_grad_checkpointing")

    def activation_checkpointing_enable(self, activation_checkpointing_kwargs: Mapping[str, Any]) -> None:
        """Recompute activations in the backward pass; timm does it without reentrance."""
        self.body.set_grad_checkpointing(True)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        """Images (B, 3, H, W) to ``feature_maps``, one (B, C, h, w) for each level."""
        maps = self.body(pixel_values)
        if str(getattr(getattr(self.body, "output_fmt", None), "value", "NCHW")) == "NHWC":
            maps = [each.permute(0, 3, 1, 2) for each in maps]
        return SimpleNamespace(feature_maps=tuple(maps))

    def key_table(self) -> KeyTable:
        """How timm's files call what is here; ``features_only`` moves modules, and drops those not needed.

        Every key of the whole model is known: one without a place here is left out by name.
        """
        with torch.device("meta"):
            whole = set(_timm().create_model(self.name, pretrained=False).state_dict())
        own = set(self.state_dict())

        def translate(key: str) -> str:
            flat = re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", key)  # a FeatureListNet's names
            names = (f"body.{inner}{each}" for inner in ("", "model.", "body.") for each in (key, flat))
            return next((name for name in names if name in own), f"unread.{key}" if key in whole else key)

        rules = (((r"unread\.(\w+)(\.\d+)?"), None), (r"", ""))
        return KeyTable(f"timm {self.name}", rules, translate=translate)


def _create(config: TimmConfig) -> Any:
    """The model; the first of what lets it take any size that it knows."""
    said: Exception | None = None
    for option in _ANY_SIZE:
        try:
            return _timm().create_model(
                config.architecture,
                pretrained=False,
                features_only=True,
                out_indices=config.levels,
                **option,
                **config.model_args,
            )
        except TypeError as error:  # an argument that the model does not know
            said = error
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            said = error
            break
    raise MapLLaVAError(
        f"timm builds no features_only '{config.architecture}' with levels={list(config.levels)} and "
        f"{config.model_args or 'no arguments'} ({type(said).__name__}: {said}): its out_indices count from 0"
    )


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:  # the latter of a torchvision that is for another torch
        raise MapLLaVAError(
            f"BackboneEncoder with a model of timm needs timm ({error}): pip install 'mapllava[timm]', or in "
            "a checkout pip install -r requirements/timm.txt"
        ) from error
