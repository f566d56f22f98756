# nuScenes mini: the trainval recipe on 323 training and 81 validation samples.
_base_ = ["./trainval.py"]

train_dataloader = dict(dataset=dict(ann_file="gt_cache/gt_cache_v1.0-mini_train.pkl"))
val_dataloader = dict(dataset=dict(ann_file="gt_cache/gt_cache_v1.0-mini_val.pkl"))
test_dataloader = dict(dataset=dict(ann_file="gt_cache/gt_cache_v1.0-mini_val.pkl"))
