# The trainval recipe with adapters that train in the frozen language model.
# Meant for 8 cards of 24 GB, 2 batches of 2 samples each an update.
_base_ = ["./trainval.py"]

model = dict(decoder=dict(lora=dict(rank=16, alpha=32, dropout=0.05, targets="all-linear")))
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(
    accumulative_counts=2,
    paramwise_cfg=dict(groups=dict(lora=dict(prefix="decoder.backbone", lr_mult=1.0))),  # new, so 1e-4
)
