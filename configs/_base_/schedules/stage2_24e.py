# Stage 2 at full size: 24 epochs, warm-up of 500 updates, cosine. Pretrained Q-Former weights move
# slowly, new parts ten times faster; norms, biases and embeddings do not decay.
train_cfg = dict(type="MapTrainLoop", max_epochs=24, val_interval=1)
val_cfg = dict(type="MapValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    dtype="bfloat16",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=35.0),
    constructor="MapOptimWrapperConstructor",
    paramwise_cfg=dict(groups=dict(qformer=dict(prefix="neck.qformer", lr_mult=0.1))),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, begin=0, end=500, by_epoch=False),
    dict(
        type="CosineAnnealingLR",
        begin=0,
        by_epoch=True,
        eta_min_ratio=1e-3,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=32, enable=False)
