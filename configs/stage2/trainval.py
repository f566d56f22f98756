# nuScenes trainval: BLIP-2 ViT-g and Q-Former, Vicuna-7B frozen, bf16, 24 epochs.
# Meant for 8 cards of 24 GB, 4 samples each.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/nuscenes.py",
    "../_base_/models/blip2_vicuna.py",
    "../_base_/schedules/stage2_24e.py",
]
