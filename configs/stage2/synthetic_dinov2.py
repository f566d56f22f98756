# A small DINOv2 of transformers as the eyes, from scratch: a plain vision transformer.
_base_ = ["./synthetic_resnet.py"]

model = dict(
    vision_encoder=dict(
        _delete_=True,
        type="BackboneEncoder",
        frozen=False,
        levels=[-1],
        pyramid=dict(type="SimpleFeaturePyramid", embed_dims=64, scales=[2, 1]),
        architecture=dict(
            model_type="dinov2",
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            patch_size=8,
            image_size=192,
        ),
    ),
)
