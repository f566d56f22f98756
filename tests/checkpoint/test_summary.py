"""The table at start-up: what was loaded, what is fitted to the images, what starts here."""

import torch
from torch import nn

from mapllava.checkpoint import weight_summary
from mapllava.models.necks import QFormerNeck
from mapllava.models.vision_encoders import Blip2VisionEncoder, ConvVisionEncoder
from mapllava.testing import write_tiny_blip2


class Model(nn.Module):
    def __init__(self, encoder, neck):
        super().__init__()
        self.data_preprocessor = nn.Identity()
        self.vision_encoder, self.neck, self.head = encoder, neck, nn.Linear(2, 2)


def test_a_line_per_part(tmp_path):
    folder = str(write_tiny_blip2(tmp_path))
    encoder = Blip2VisionEncoder(pretrained=folder)
    neck = QFormerNeck(32, {"type": "QFormerCore", "pretrained": folder}, num_cameras=2, num_queries=40)
    encoder.backbone.encoder.layers[0].lora_A = nn.Linear(2, 2)  # as peft puts it inside
    lines = weight_summary(Model(encoder, neck)).splitlines()
    loaded = [len(part.backbone.load_report.loaded) for part in (encoder, neck.qformer)]
    assert lines[0].split() == ["weights", "of", "loaded", "interpolated", "new"]
    assert lines[1].split() == ["vision_encoder", str(loaded[0]), "1", "2", "backbone", "(2)"]
    assert lines[2].split()[:4] == ["neck", str(loaded[1]), "0", "5"]
    assert lines[2].endswith("query_tokens (1), ray_encoding (4)")
    assert lines[3].split() == ["head", "0", "0", "2"]
    assert len(lines) == 4
    total = sum(1 for _ in neck.parameters())
    assert loaded[1] + 5 == total


def test_a_random_model_has_none():
    encoder = ConvVisionEncoder(channels=[4, 8], blocks=[0, 0], embed_dims=6, out_stage=1)
    assert weight_summary(Model(encoder, nn.Linear(1, 1))) == ""
    assert torch.equal(torch.ones(1), torch.ones(1))
