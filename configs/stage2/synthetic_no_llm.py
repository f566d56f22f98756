# The honest control: the same head and neck on a plain transformer decoder, no language model.
_base_ = ["./synthetic.py"]

model = dict(
    decoder=dict(_delete_=True, type="TransformerMapDecoder", embed_dims=128, num_layers=2, num_heads=4),
)
