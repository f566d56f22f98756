"""BLIP-2's vision encoder."""

from __future__ import annotations

from mapllava.checkpoint import BLIP2_VISION
from mapllava.models.vision_encoders.hf_vision_encoder import HFVisionEncoder
from mapllava.registry import MODELS


@MODELS.register_module()
class Blip2VisionEncoder(HFVisionEncoder):
    """EVA's ViT-g as in BLIP-2: 39 layers of 1408 channels at full size, patches of 14 pixels.

    ``pretrained`` may be a BLIP-2 or an InstructBLIP.
    Takes the arguments of :class:`HFVisionEncoder`; ``architecture`` has the keys of
    ``Blip2VisionConfig``. Features are those after the last norm, as BLIP-2's Q-Former reads them.

    Source: BLIP-2, arXiv:2301.12597, section 3.2, in transformers' implementation.
    """

    config_name = "Blip2VisionConfig"
    model_name = "Blip2VisionModel"
    table = BLIP2_VISION
    alike = ("instructblip_vision_model", "instructblipvideo_vision_model")
