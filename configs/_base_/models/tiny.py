# Small parts, trained from scratch on a CPU: convolutions, a BEV Q-Former, a two-layer LLaMA.
_base_ = ["./vector_map_head.py"]

model = dict(
    type="MapLLaVA",
    data_preprocessor=dict(
        type="MapDataPreprocessor",
        mean=[110.0, 110.0, 110.0],
        std=[60.0, 60.0, 60.0],
        bgr_to_rgb=True,
    ),
    vision_encoder=dict(
        type="ConvVisionEncoder", channels=[24, 48, 64], blocks=[0, 1, 2], embed_dims=64, out_stage=1
    ),
    neck=dict(
        type="BEVQFormerNeck",
        bev_dims=64,
        cell=1.0,
        heights=dict(above_ground=[0.0, 0.84], ground=dict(lidar=-1.84, ego=0.0)),
        tokens=dict(stride=5, skip=True, probe=0.3),
        dilations=[1, 1, 2, 2, 1],
        attention=dict(radius=6.0, pool=4),
        loss_bev=dict(bce=40.0, dice=10.0),
        qformer=dict(
            type="QFormerCore",
            architecture=dict(
                hidden_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=256,
                cross_attention_frequency=2,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
        ),
    ),
    map_queries=dict(type="InstanceMapQueries", num_instances=50, scene=dict(seed_points=5, octaves=5)),
    decoder=dict(
        type="LLMMapDecoder",
        prompt="Draw the map around the car.",
        frozen=False,
        architecture=dict(
            model_type="llama",
            vocab_size=259,  # of bytes, which are the tokens of a language model without files
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
        ),
    ),
    head=dict(
        direct=True,
        num_layers=3,
        layer=dict(
            type="RefinementLayer",
            embed_dims=128,
            point_dims=64,
            num_heads=4,
            ffn_dims=256,
            num_samples=2,
            num_frequencies=6,
        ),
    ),
)
