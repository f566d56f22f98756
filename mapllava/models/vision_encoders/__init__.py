"""Vision encoders: images to patch features."""

from mapllava.models.vision_encoders.blip2_vision_encoder import Blip2VisionEncoder
from mapllava.models.vision_encoders.clip_vision_encoder import CLIPVisionEncoder
from mapllava.models.vision_encoders.conv_encoder import ConvVisionEncoder

__all__ = ["Blip2VisionEncoder", "CLIPVisionEncoder", "ConvVisionEncoder"]
