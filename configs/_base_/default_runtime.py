# What every run shares: scope, log, checkpoints, pictures.
default_scope = "mapllava"
custom_hooks = [
    dict(type="RunFolderHook"),
    dict(type="RunSummaryHook"),
    dict(type="ReproducibleEpochsHook"),
    dict(type="SharedBuffersHook"),
    dict(type="StepTimeoutHook", seconds=60),
    dict(type="NonFiniteLossHook"),
    dict(type="GradientNormHook"),
    dict(type="ProgressBarHook"),
    dict(type="FlatLossHook"),
    dict(type="RunCheckpointHook", interval=1, max_keep=3, metric="mAP"),
    dict(type="SafeCheckpointHook"),
    dict(type="GracefulStopHook"),
    dict(type="MapVisualizationHook", num_samples=4),
    dict(type="WarmupEMAHook", decay=0.998),
]
default_hooks = dict(
    timer=dict(type="SteadyTimerHook"),
    logger=dict(type="LoggerHook", interval=10),
    param_scheduler=dict(type="ParamSchedulerHook"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    checkpoint=None,  # RunCheckpointHook writes them
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    # seconds that a process waits for the others; the score and the checkpoint are one process's work
    dist_cfg=dict(backend="nccl", timeout=600),
)
randomness = dict(seed=0)
log_level = "INFO"
visualizer = dict(
    type="Visualizer",
    vis_backends=[dict(type="LocalVisBackend"), dict(type="OptionalTensorboardVisBackend")],
)
log_processor = dict(type="MapLogProcessor", window_size=10)
load_from = None
resume = False
