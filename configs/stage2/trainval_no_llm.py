# The honest control: the same encoder, neck, queries and head on a plain decoder, no language model.
_base_ = ["./trainval.py"]

model = dict(
    decoder=dict(_delete_=True, type="TransformerMapDecoder", embed_dims=512, num_layers=6, num_heads=8),
)
pack = dict(type="PackMapInputs")
see = [*_base_.load_steps, pack]
learn = [*_base_.load_steps, *_base_.augment_steps, *_base_.target_steps, pack]
train_dataloader = dict(dataset=dict(pipeline=learn))
val_dataloader = dict(dataset=dict(pipeline=see))
test_dataloader = dict(dataset=dict(pipeline=see))
