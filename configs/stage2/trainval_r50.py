# ResNet-50, the BEV neck and a plain decoder on 800 x 480 images, nothing of language: MapTR's budget
# (arXiv:2208.14437), so that the framework itself can be held against the field's figures of 24 epochs.
# Meant for 8 cards of 24 GB, 4 samples each.
_base_ = ["./trainval_no_llm.py"]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),  # ImageNet's
    vision_encoder=dict(
        _delete_=True,
        type="BackboneEncoder",
        pretrained="microsoft/resnet-50",
        frozen=False,
        norm_eval=True,
        levels=[3, 4],  # 16 and 32 pixels
        pyramid=dict(type="FeaturePyramid", embed_dims=256),
        architecture=dict(model_type="resnet"),  # transformers' sizes are those of ResNet-50
    ),
    neck=dict(qformer=dict(_delete_=True, **_base_.small_qformer)),
    decoder=dict(embed_dims=256),
)
load_steps = [dict(type="LoadMultiViewImages", size=(800, 480))]  # width, height
train_dataloader = dict(
    dataset=dict(pipeline=[*load_steps, *_base_.augment_steps, *_base_.target_steps, *_base_.pack_steps])
)
val_dataloader = dict(dataset=dict(pipeline=[*load_steps, *_base_.pack_steps]))
test_dataloader = val_dataloader
groups = dict(_delete_=True, backbone=dict(prefix="vision_encoder.backbone", lr_mult=0.1))
optim_wrapper = dict(optimizer=dict(lr=6e-4), paramwise_cfg=dict(groups=groups))
