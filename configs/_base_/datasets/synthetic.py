# The synthetic city: small images, nothing downloaded.
_base_ = ["../map_spec.py"]

load_steps = [
    dict(type="LoadMultiViewImages", size=(192, 108)),  # width, height
    dict(type="CropMultiView", top=48),  # sky
]
pack_steps = [dict(type="PackMapInputs")]
target_steps = [dict(type="ResamplePolylines"), dict(type="RasterizeBEV")]
augment_steps = [dict(type="RandomLateralFlip", prob=0.5)]

data_root = "data/synthetic"
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="NuScenesMapDataset",
        data_root=data_root,
        ann_file="gt_cache/gt_cache_v1.0-trainval_train.pkl",
        pipeline=[*load_steps, *augment_steps, *target_steps, *pack_steps],
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="NuScenesMapDataset",
        data_root=data_root,
        ann_file="gt_cache/gt_cache_v1.0-trainval_val.pkl",
        pipeline=[*load_steps, *pack_steps],
        test_mode=True,
    ),
)
val_evaluator = dict(type="VectorMapMetric", protocol="maptr")
test_dataloader = val_dataloader
test_evaluator = val_evaluator
