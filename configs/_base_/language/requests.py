# Sentences and what they ask of a map, made from the grammar; nothing is read. Training draws new ones all
# the time; validation has its own seed, known wording, held-out templates and held-out words.
_base_ = ["../default_runtime.py", "../map_spec.py"]

run_name = "request_parser"
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="RequestPairs", count=6400, language="both"),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="RequestPairs", count=100, language="both", parts=["train", "templates", "words"], seed=1
    ),
)
test_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="RequestPairs", count=400, language="both", parts=["train", "templates", "words"], seed=2
    ),
)
val_evaluator = dict(type="RequestMetric")
test_evaluator = val_evaluator
default_hooks = dict(
    checkpoint=dict(metric="exact"),
    map_visualization=None,  # there is no map to draw
    ema=None,  # short trainings end where the weights are
)
