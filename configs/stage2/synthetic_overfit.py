# Four samples learned by heart: the first thing to run when something looks broken (mAP >= 0.9).
_base_ = ["./synthetic.py"]

four = dict(
    type="NuScenesMapDataset",
    data_root=_base_.data_root,
    ann_file="gt_cache/gt_cache_v1.0-trainval_train.pkl",
    indices=[25, 105, 125, 145],  # four scenes; together they hold every class
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=False),
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=300,  # steps
        dataset=dict(pipeline=[*_base_.load_steps, *_base_.target_steps, *_base_.pack_steps], **four),
    ),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=four)
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=four)
train_cfg = dict(max_epochs=1, val_interval=1)
