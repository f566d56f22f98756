# nuScenes trainval on LLaVA-1.5: its CLIP and its Vicuna frozen, the Q-Former from scratch.
# Meant for 8 cards of 24 GB, 4 samples each.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/nuscenes.py",
    "../_base_/models/llava.py",
    "../_base_/schedules/stage2_24e.py",
]

optim_wrapper = dict(paramwise_cfg=dict(groups=dict(qformer=dict(lr_mult=1.0))))
