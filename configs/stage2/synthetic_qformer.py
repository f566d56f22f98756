# BLIP-2's kind of Q-Former (free queries per camera, ray encodings, no BEV map) under the same budget.
_base_ = ["./synthetic.py"]

model = dict(
    map_queries=dict(scene=None),  # its scene tokens have no place on the ground
    neck=dict(
        _delete_=True,
        type="QFormerNeck",
        num_cameras=6,
        num_queries=16,
        qformer=dict(
            type="QFormerCore",
            architecture=dict(
                hidden_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=256,
                cross_attention_frequency=1,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
        ),
    ),
)
