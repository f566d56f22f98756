"""Sizes that do not fit each other, and parts that cannot be built, in words."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mapllava.config.build_errors import explain_config
from mapllava.config.options import apply_options
from mapllava.config.resolve import resolve
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS

TINY = Path(__file__).parents[2] / "configs" / "stage2" / "synthetic.py"
DECODER, QFORMER = "model.decoder.architecture.", "model.neck.qformer.architecture."
WRONG = [
    (DECODER + "hidden_size", 130, "hidden_size=130 is no multiple of num_attention_heads=4"),
    (DECODER + "hidden_size", 128.5, "hidden_size is 128.5: use whole numbers"),
    (DECODER + "hidden_size", 0, "hidden_size is 0"),
    (DECODER + "num_key_value_heads", 3, "num_attention_heads=4 is no multiple of num_key_value_heads=3"),
    ("model.decoder.architecture", {"_delete_": True, "model_type": "qwen2", "vocab_size": 259,
                                    "num_attention_heads": 4}, "of num_key_value_heads=32"),
    (DECODER + "num_hidden_layers", 0, "num_hidden_layers is 0"),
    (DECODER + "head_dim", 7, "LLMMapDecoder cannot be built"),
    (DECODER + "hidden_act", "nope", "LLMMapDecoder cannot be built: KeyError: 'nope'"),
    (QFORMER + "hidden_size", 130, "QFormerCore.architecture: hidden_size=130"),
    (QFORMER + "cross_attention_frequency", 0, "cross_attention_frequency is 0"),
    ("model.head.layer.embed_dims", 130, "RefinementLayer: num_heads=4 does not divide embed_dims=130"),
    ("model.head.layer.num_heads", 3, "RefinementLayer: num_heads=3 does not divide"),
    ("model.head.num_points", 0, "VectorMapHead.num_points is 0"),
    ("model.vision_encoder.embed_dims", 0, "ConvVisionEncoder.embed_dims is 0"),
    ("model.neck.bev_dims", 0, "BEVQFormerNeck.bev_dims is 0"),
    ("model.neck.tokens.stride", 0, "BEVQFormerNeck.tokens.stride is 0"),
    ("model.neck.dilations", [0], "BEVQFormerNeck.dilations is [0]"),
    ("model.neck.attention.pool", 0, "BEVQFormerNeck.attention.pool is 0"),
    ("model.neck.attention.radius", -6.0, "BEVQFormerNeck.radius is -6.0"),
    ("model.neck.attention.radus", 3.0, "BEVQFormerNeck.attention has no 'radus': did you mean 'radius'?"),
    ("model.head.criterion.losses", {"_delete_": True}, "model.head.criterion.losses is empty"),
    ("model.head.losses.angle", {"type": "PointsL1Loss"},
     "VectorMapHead takes no argument 'losses': it stands in its criterion.losses now"),
    ("model.decoder", {"type": "TransformerMapDecoder", "embed_dims": 128, "num_layers": 1, "num_heads": 0,
                       "_delete_": True}, "TransformerMapDecoder.num_heads is 0"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_a_model_that_cannot_be_built_or_run_is_refused_when_it_is_built(key, value, message):
    init_default_scope("mapllava")
    cfg = Config.fromfile(TINY)
    apply_options(cfg, {key: value})
    resolve(cfg)
    with pytest.raises(Exception) as error:
        MODELS.build(cfg.model)
    explained = error.value if isinstance(error.value, MapLLaVAError) else explain_config(error.value)
    assert message in str(explained)
