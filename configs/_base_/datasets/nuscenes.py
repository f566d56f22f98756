# nuScenes through its ground-truth caches. A leaf names the version in data_root's terms and the
# two ann_files; the number of points and the BEV cell come from the model.
_base_ = ["../map_spec.py"]

load_steps = [
    dict(type="LoadMultiViewImages", size=(560, 336)),  # width, height: 24 x 40 patches of 14 pixels
]
pack_steps = [dict(type="PackMapInputs")]
target_steps = [dict(type="ResamplePolylines"), dict(type="RasterizeBEV")]
augment_steps = [dict(type="PhotoMetricDistortionMultiView"), dict(type="RandomLateralFlip", prob=0.5)]

data_root = "data/nuscenes"
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="NuScenesMapDataset",
        data_root=data_root,
        ann_file="gt_cache/gt_cache_v1.0-trainval_train.pkl",
        pipeline=[*load_steps, *augment_steps, *target_steps, *pack_steps],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
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
