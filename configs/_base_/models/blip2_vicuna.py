# Full size: BLIP-2's ViT-g and Q-Former, Vicuna-7B. `pretrained` may be a hub id or a folder, whose
# config.json then rules; `architecture` says what is built when `pretrained` is None.
#
# Either neck hands on 768 scene tokens, and either layout of queries fits it. Used is what learned better on
# the synthetic city; a leaf's `model` takes the other layout of queries with one line,
# `map_queries=dict(_delete_=True, **_base_.point_queries)`, and the other neck, whose scene tokens have no
# place, with two: `neck=dict(_delete_=True, **_base_.qformer_neck)`, `map_queries=dict(scene=None)`
_base_ = ["./vector_map_head.py", "../language_models/vicuna_7b.py"]

blip2 = "Salesforce/blip2-opt-2.7b"

qformer = dict(
    type="QFormerCore",
    pretrained=blip2,
    gradient_checkpointing=True,
    architecture=dict(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        cross_attention_frequency=2,
    ),
)
qformer_from_scratch = dict(  # behind an encoder that BLIP-2's has not learned to read
    type="QFormerCore",
    architecture=dict(
        hidden_size=768,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=3072,
        cross_attention_frequency=1,
    ),
)
small_qformer = dict(
    type="QFormerCore",
    architecture=dict(
        hidden_size=256,
        num_hidden_layers=3,
        num_attention_heads=8,
        intermediate_size=1024,
        cross_attention_frequency=1,
    ),
)
qformer_neck = dict(type="QFormerNeck", num_cameras=6, num_queries=128, qformer=qformer)
bev_qformer_neck = dict(
    type="BEVQFormerNeck",
    bev_dims=256,
    cell=0.625,  # 96 x 48 cells
    # metres: where to look above the ground, and z of the ground in each map frame
    heights=dict(above_ground=[0.0, 0.84, 1.84], ground=dict(lidar=-1.84, ego=0.0)),
    # 32 x 24 queries, 1.875 m along the car x 1.25 m across
    tokens=dict(stride=[3, 2], skip=True, probe=0.3),
    dilations=[1, 2, 4, 2, 1],
    attention=dict(radius=6.0, pool=1),
    loss_bev=dict(bce=40.0, dice=10.0),
    qformer=qformer,
)
scene = dict(seed_points=5, octaves=5)  # what queries know of the scene; None with `qformer_neck`
# and the head's 20 points each: 1,050 tokens
point_queries = dict(type="PointMapQueries", num_instances=50, scene=scene)
instance_queries = dict(type="InstanceMapQueries", num_instances=50, scene=scene)

model = dict(
    type="MapLLaVA",
    data_preprocessor=dict(
        type="MapDataPreprocessor",  # CLIP's statistics, which BLIP-2 was trained with
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True,
    ),
    vision_encoder=dict(
        type="Blip2VisionEncoder",
        pretrained=blip2,
        frozen=True,
        dtype="bfloat16",
        architecture=dict(
            hidden_size=1408,
            intermediate_size=6144,
            num_hidden_layers=39,
            num_attention_heads=16,
            patch_size=14,
            image_size=224,
            qkv_bias=True,
        ),
    ),
    neck=bev_qformer_neck,
    map_queries=instance_queries,
    decoder=dict(
        type="LLMMapDecoder",
        pretrained=_base_.vicuna,  # its tokenizer makes ids of the prompt
        prompt="Draw the map around the car: dividers, pedestrian crossings and road boundaries.",
        frozen=True,
        gradient_checkpointing=True,
        dtype="bfloat16",
        scale="embeddings",
        architecture=_base_.vicuna_architecture,
    ),
    head=dict(
        direct=True,
        num_layers=6,
        layer=dict(
            type="RefinementLayer",
            embed_dims=256,
            point_dims=128,
            num_heads=8,
            ffn_dims=1024,
            num_samples=4,
            num_frequencies=6,
        ),
    ),
)
