"""CLIP's vision encoder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from mapllava.checkpoint import CLIP_VISION, LLAVA_TOWER, WeightSource
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import HFBackbone, takes_backbone
from mapllava.models.vision_encoders.hf_vision_encoder import HFVisionEncoder
from mapllava.registry import MODELS


@MODELS.register_module()
class CLIPVisionEncoder(HFVisionEncoder):
    """CLIP's ViT, without the norm and projection of its pooled output.

    Takes the arguments of :class:`HFVisionEncoder`; ``architecture`` has the keys of
    ``CLIPVisionConfig``. ``pretrained`` may be a CLIP, its vision tower alone, or a LLaVA: in LLaVA's
    original layout the weights come from the CLIP that it names unless it holds its own.

    Source: CLIP, arXiv:2103.00020, in transformers' implementation.
    """

    config_name = "CLIPVisionConfig"
    model_name = "CLIPVisionModel"
    table = CLIP_VISION

    @takes_backbone
    def __init__(self, *, feature_layer: int = -1, **backbone: Any) -> None:
        super().__init__(feature_layer=feature_layer, **backbone)
        # only the pooled output goes through it: as a parameter it would never get a gradient
        self.backbone.post_layernorm = nn.Identity()

    def _config(self, hf: HFBackbone, config_class: Any) -> Any:
        given, tower = hf.source, _named_tower(hf.source)
        if given is None or tower is None:
            return super()._config(hf, config_class)
        hf.source = tower
        config = super()._config(hf, config_class)
        if any(re.match(LLAVA_TOWER, key) for key, _ in given.tensors(lambda _: False)):
            hf.source = given
        return config


def _named_tower(source: WeightSource | None) -> WeightSource | None:
    """The CLIP that a LLaVA in its original layout names; its folder may be inside LLaVA's."""
    name = None if source is None else source.config().get("mm_vision_tower")
    if source is None or name is None:
        return None
    inside: Path = source.folder / name
    try:
        return WeightSource(inside if inside.is_dir() else name)
    except MapLLaVAError as error:
        raise MapLLaVAError(
            f"pretrained='{source.name}' is a LLaVA in its original layout, whose vision encoder is the CLIP "
            f"'{name}': name that CLIP's folder in vision_encoder.pretrained, or put it at {inside} ({error})"
        ) from error
