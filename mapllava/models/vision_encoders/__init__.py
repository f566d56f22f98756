"""Vision encoders: images to patch features."""

from mapllava.models.vision_encoders.backbone_encoder import BackboneEncoder
from mapllava.models.vision_encoders.blip2_vision_encoder import Blip2VisionEncoder
from mapllava.models.vision_encoders.clip_vision_encoder import CLIPVisionEncoder
from mapllava.models.vision_encoders.conv_encoder import ConvVisionEncoder
from mapllava.models.vision_encoders.feature_pyramid import FeaturePyramid, SimpleFeaturePyramid

__all__ = [
    "BackboneEncoder",
    "Blip2VisionEncoder",
    "CLIPVisionEncoder",
    "ConvVisionEncoder",
    "FeaturePyramid",
    "SimpleFeaturePyramid",
]
