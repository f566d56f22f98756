"""Key tables: the names that real checkpoints use, and nothing skipped without a rule."""

import pytest

from mapllava.checkpoint import (
    BLIP2_QFORMER,
    BLIP2_QUERY_TOKENS,
    BLIP2_VISION,
    CLIP_VISION,
    decoder_table,
)
from mapllava.checkpoint.key_tables import UNKNOWN, causal_prefix

QKV = "encoder.layers.0.self_attn.qkv.weight"
QUERY = "encoder.layer.0.attention.attention.query.weight"
ENCODER = "encoder.layers.0.self_attn.q_proj.weight"
LAYER = "layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        (BLIP2_VISION, f"vision_model.{QKV}", QKV),
        (BLIP2_VISION, f"qformer.{QUERY}", None),
        (BLIP2_VISION, "query_tokens", None),
        (BLIP2_VISION, "language_model.model.decoder.embed_tokens.weight", None),
        (BLIP2_QFORMER, f"qformer.{QUERY}", QUERY),
        (
            BLIP2_QFORMER,
            "qformer.encoder.layer.0.attention.output.dense.bias",
            "encoder.layer.0.attention.output.dense.bias",
        ),
        (
            BLIP2_QFORMER,
            "qformer.encoder.layer.11.output_query.dense.bias",
            "encoder.layer.11.output_query.dense.bias",
        ),
        (BLIP2_QFORMER, "qformer.encoder.layer.11.output.dense.bias", None),
        (BLIP2_QFORMER, "qformer.encoder.layer.11.intermediate.dense.bias", None),
        (BLIP2_QFORMER, "language_projection.weight", None),
        (BLIP2_QFORMER, "itm_head.weight", None),
        (BLIP2_QUERY_TOKENS, "query_tokens", "query_tokens"),
        (BLIP2_QUERY_TOKENS, f"vision_model.{QKV}", None),
        (CLIP_VISION, "vision_model.pre_layrnorm.weight", "pre_layrnorm.weight"),
        (CLIP_VISION, "vision_model.embeddings.position_ids", None),
        (CLIP_VISION, "text_model.final_layer_norm.weight", None),
        (CLIP_VISION, "logit_scale", None),
        (CLIP_VISION, f"vision_tower.vision_model.{ENCODER}", ENCODER),  # LLaVA on the hub
        (CLIP_VISION, f"vision_tower.{ENCODER}", ENCODER),  # saved by transformers 5
        (CLIP_VISION, f"model.vision_tower.{ENCODER}", ENCODER),  # and as it is in memory
        (CLIP_VISION, f"model.vision_tower.vision_tower.vision_model.{ENCODER}", ENCODER),  # LLaVA's own
        (CLIP_VISION, ENCODER, ENCODER),  # the tower alone
        (CLIP_VISION, f"language_model.model.{LAYER}", None),
        (CLIP_VISION, f"model.{LAYER}", None),
        (CLIP_VISION, "lm_head.weight", None),
        (CLIP_VISION, "model.mm_projector.0.weight", None),
        (CLIP_VISION, "multi_modal_projector.linear_1.weight", None),
        (CLIP_VISION, "model.image_newline", None),
    ],
)
def test_vision_and_qformer_keys(table, key, expected):
    assert table.rename(key) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (f"model.{LAYER}", LAYER),  # Vicuna, LLaMA
        ("lm_head.weight", None),
        ("model.layers.3.self_attn.rotary_emb.inv_freq", None),
        (LAYER, LAYER),  # a bare backbone
        (f"language_model.model.{LAYER}", LAYER),  # BLIP-2 and LLaVA before transformers 5
        ("language_model.lm_head.weight", None),
        ("multi_modal_projector.linear_1.weight", None),
        ("vision_tower.vision_model.pre_layrnorm.weight", None),
        (f"model.language_model.{LAYER}", LAYER),  # LLaVA since
        ("model.vision_tower.pre_layrnorm.weight", None),
        ("model.multi_modal_projector.linear_1.weight", None),
        ("model.mm_projector.0.weight", None),  # LLaVA's own
        ("model.image_newline", None),
        ("qformer.layernorm.weight", None),
        ("query_tokens", None),
        ("language_projection.bias", None),
    ],
)
def test_language_model_keys(key, expected):
    assert decoder_table().rename(key) == expected


def test_families_with_another_prefix():
    assert causal_prefix("gpt2") == "transformer"
    assert causal_prefix("of nobody") == "model"
    table = decoder_table("gpt2")
    assert table.rename("transformer.h.0.ln_1.weight") == "h.0.ln_1.weight"


def test_a_key_without_a_rule_is_neither_dropped_nor_a_name():
    key = "bert.encoder.layer.0.weight"
    assert BLIP2_QFORMER.rename(key) == UNKNOWN + key


def test_layers_that_nobody_reads_can_be_dropped():
    table = CLIP_VISION.without(r".*encoder\.layers\.(22|23)\.")
    assert table.rename("vision_model.encoder.layers.23.mlp.fc1.bias") is None
    assert table.rename("vision_model.encoder.layers.2.mlp.fc1.bias") == "encoder.layers.2.mlp.fc1.bias"
