# Stage 3: from a stage-2 run's best model, the language model trains too (1e-6), 3 epochs. Meant for 8 cards,
# 4 batches of 1 sample each an update; 7B parameters with their gradients and AdamW's state take 108 GB in
# float32, so FSDP2 splits them over the cards.
_base_ = ["../stage2/trainval.py", "../_base_/sharding/fsdp2.py"]

run_name = "map_detection_stage3"
load_from = "outputs/map_detection_stage2/best_model.pth"  # yours: --cfg-options load_from=…

model = dict(decoder=dict(frozen=False, dtype="float32"))  # steps of 1e-6 are lost in bf16 weights
train_dataloader = dict(batch_size=1)
train_cfg = dict(max_epochs=3)
optim_wrapper = dict(
    accumulative_counts=4,
    paramwise_cfg=dict(groups=dict(llm=dict(prefix="decoder.backbone", lr_mult=0.01))),
)
default_hooks = dict(
    # stage 2 saved neither: they come from the language model's files
    safe_checkpoint=dict(allow_missing=["decoder.backbone", "decoder.scale"]),
    ema=None,  # an average would be another 27 GB, of weights that hardly move
)
