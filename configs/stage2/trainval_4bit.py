# The trainval recipe with both frozen models in 4 bits (NF4).
# Meant for one card of 16 GB, 8 batches of 4 samples an update.
_base_ = ["./trainval.py"]

nf4 = dict(bits=4, compute_dtype="bfloat16")
model = dict(
    vision_encoder=dict(quantization=nf4),
    decoder=dict(quantization=nf4),
)
optim_wrapper = dict(accumulative_counts=8)
