# 1600 updates (a leaf may say more), adapters on a frozen language model; no decay, short warm-up, cosine.
train_cfg = dict(type="MapTrainLoop", max_epochs=2, val_interval=2)
val_cfg = dict(type="MapValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    dtype="bfloat16",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.0),
    clip_grad=dict(max_norm=1.0),
    constructor="MapOptimWrapperConstructor",
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, begin=0, end=10, by_epoch=False),
    dict(type="CosineAnnealingLR", begin=0, by_epoch=True, eta_min_ratio=1e-2, convert_to_iter_based=True),
]
