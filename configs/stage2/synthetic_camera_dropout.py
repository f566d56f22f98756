# A model that shall do without a camera or two: half of the training samples lose some.
_base_ = ["./synthetic.py"]

augment_steps = [*_base_.augment_steps, dict(type="CameraDropout", prob=0.5, max_cameras=2)]
train_dataloader = dict(
    dataset=dict(
        pipeline=[*_base_.load_steps, *augment_steps, *_base_.target_steps, *_base_.pack_steps],
    ),
)
