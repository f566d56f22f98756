# The synthetic config with the neck of this package in place of the Q-Former.
_base_ = ["../../../configs/stage2/synthetic.py"]

model = dict(
    neck=dict(_delete_=True, type="PooledNeck", embed_dims=128, tokens_per_camera=(3, 8)),
    map_queries=dict(scene=None),  # its scene tokens have no place on the ground to read
)
