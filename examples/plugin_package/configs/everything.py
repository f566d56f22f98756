# The synthetic config with every part of this package in place of mapllava's own.
_base_ = ["../../../configs/stage2/synthetic.py"]

model = dict(
    vision_encoder=dict(_delete_=True, type="PatchMeanEncoder", embed_dims=64, stride=12),
    neck=dict(_delete_=True, type="PooledNeck", embed_dims=64, tokens_per_camera=(3, 8)),
    map_queries=dict(scene=None),  # the neck's scene tokens have no place on the ground to read
    decoder=dict(_delete_=True, type="MeanSceneDecoder", embed_dims=64),
    head=dict(
        _delete_=True,
        type="OneShotHead",
        num_points=20,
        criterion=dict(
            type="MapCriterion",
            assigner=_base_.model.head.criterion.assigner,
            losses=dict(**_base_.model.head.criterion.losses, length=dict(type="LengthLoss", weight=0.05)),
        ),
    ),
)

load_steps = [
    dict(type="LoadMultiViewImages", size=(192, 108)),
    dict(type="CropMultiView", top=48),
]
augment_steps = [dict(type="RandomLateralFlip", prob=0.5), dict(type="GammaMultiView", gamma=(0.7, 1.4))]
target_steps = [dict(type="ResamplePolylines")]
train_dataloader = dict(
    dataset=dict(
        type="FirstScenesDataset",
        num_scenes=2,
        pipeline=[*load_steps, *augment_steps, *target_steps, dict(type="PackMapInputs")],
    )
)
val_evaluator = [dict(type="VectorMapMetric", protocol="maptr"), dict(type="LineCountMetric", score=0.3)]
test_evaluator = val_evaluator
custom_hooks = [dict(type="LossLimitHook", limit=1e4)]
