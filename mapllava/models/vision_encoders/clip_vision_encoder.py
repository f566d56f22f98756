"""CLIP's vision encoder."""

from __future__ import annotations

from torch import nn

from mapllava.checkpoint import CLIP_VISION
from mapllava.models.vision_encoders.hf_vision_encoder import HFVisionEncoder
from mapllava.registry import MODELS


@MODELS.register_module()
class CLIPVisionEncoder(HFVisionEncoder):
    """CLIP's ViT, without the norm and projection of its pooled output.

    Takes the arguments of :class:`HFVisionEncoder`; ``architecture`` has the keys of
    ``CLIPVisionConfig``. Features are those of the last layer.

    Source: CLIP, arXiv:2103.00020, in transformers' implementation.
    """

    config_name = "CLIPVisionConfig"
    model_name = "CLIPVisionModel"
    table = CLIP_VISION

    def __init__(
        self,
        pretrained: str | None = None,
        architecture: dict | None = None,
        frozen: bool = True,
        gradient_checkpointing: bool = False,
        dtype: str | None = None,
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        super().__init__(pretrained, architecture, frozen, gradient_checkpointing, dtype, lora, quantization)
        # only the pooled output goes through it: as a parameter it would never get a gradient
        self.backbone.post_layernorm = nn.Identity()
