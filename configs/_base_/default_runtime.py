# What every run shares: scope, log, checkpoints, pictures.
#
# Hooks have names, so that a leaf adds one, changes one and leaves one out with one line each:
# `default_hooks = dict(mine=dict(type="MyHook"), checkpoint=dict(max_keep=None), ema=None)`
default_scope = "mapllava"
default_hooks = dict(
    timer=dict(type="SteadyTimerHook"),
    logger=dict(type="LoggerHook", interval=10),
    param_scheduler=dict(type="ParamSchedulerHook"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    checkpoint=dict(type="RunCheckpointHook", interval=1, max_keep=3, metric="mAP"),
    run_folder=dict(type="RunFolderHook"),
    run_summary=dict(type="RunSummaryHook"),
    reproducible_epochs=dict(type="ReproducibleEpochsHook"),
    shared_buffers=dict(type="SharedBuffersHook"),
    step_timeout=dict(type="StepTimeoutHook", seconds=60),
    nonfinite_loss=dict(type="NonFiniteLossHook"),
    gradient_norm=dict(type="GradientNormHook"),
    progress_bar=dict(type="ProgressBarHook"),
    flat_loss=dict(type="FlatLossHook"),
    safe_checkpoint=dict(type="SafeCheckpointHook"),
    graceful_stop=dict(type="GracefulStopHook"),
    map_visualization=dict(type="MapVisualizationHook", num_samples=4),
    ema=dict(type="WarmupEMAHook", decay=0.998),
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
