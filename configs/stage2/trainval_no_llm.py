# The honest control: the same encoder, neck, queries and head on a plain decoder, no language model.
_base_ = ["./trainval.py"]

model = dict(
    decoder=dict(_delete_=True, type="TransformerMapDecoder", embed_dims=512, num_layers=6, num_heads=8),
)
