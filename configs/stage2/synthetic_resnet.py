# A small ResNet of transformers as the eyes, from scratch: what a backbone of one's own looks like.
_base_ = ["./synthetic.py"]

model = dict(
    vision_encoder=dict(
        _delete_=True,
        type="BackboneEncoder",
        frozen=False,
        levels=[1, 2],  # 4 and 8 pixels
        pyramid=dict(type="FeaturePyramid", embed_dims=64),
        architecture=dict(
            model_type="resnet", embedding_size=24, hidden_sizes=[48, 64], depths=[1, 2], layer_type="basic"
        ),
    ),
)
load_steps = [dict(type="LoadMultiViewImages", size=(192, 108)), dict(type="CropMultiView", top=44)]
train_dataloader = dict(
    dataset=dict(pipeline=[*load_steps, *_base_.augment_steps, *_base_.target_steps, *_base_.pack_steps])
)
val_dataloader = dict(dataset=dict(pipeline=[*load_steps, *_base_.pack_steps]))
test_dataloader = val_dataloader
