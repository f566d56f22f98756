# From scratch on two CPU cores: a few minutes, short warm-up, cosine.
train_cfg = dict(type="MapTrainLoop", max_epochs=3, val_interval=3)
val_cfg = dict(type="MapValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    dtype="bfloat16",
    optimizer=dict(
        type="MuonAdamW",
        lr=6e-4,
        weight_decay=0.01,
        muon=dict(lr=0.02, momentum=0.95, steps=5),
        fused=True,
    ),
    paramwise_cfg=dict(matrices=dict(min_size=16)),
    clip_grad=dict(max_norm=35.0),
    constructor="MapOptimWrapperConstructor",
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, begin=0, end=100, by_epoch=False),
    dict(
        type="CosineAnnealingLR",
        begin=0,
        by_epoch=True,
        eta_min_ratio=1e-2,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=8, enable=False)
