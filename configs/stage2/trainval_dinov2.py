# DINOv2's ViT-L with adapters as the eyes, the same neck and a plain decoder; the Q-Former from scratch.
# Meant for 8 cards of 24 GB, 4 samples each.
_base_ = ["./trainval_no_llm.py"]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),  # ImageNet's
    vision_encoder=dict(
        _delete_=True,
        type="BackboneEncoder",
        pretrained="facebook/dinov2-large",
        frozen=True,
        dtype="bfloat16",
        gradient_checkpointing=True,
        lora=dict(rank=16, alpha=32, dropout=0.05, targets="all-linear"),
        levels=[-1],
        architecture=dict(
            model_type="dinov2",
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            patch_size=14,
            image_size=518,
        ),
    ),
    neck=dict(qformer=dict(_delete_=True, **_base_.qformer_from_scratch)),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        groups=dict(
            qformer=dict(lr_mult=1.0),
            lora=dict(prefix="vision_encoder.backbone", lr_mult=1.0),
        )
    )
)
