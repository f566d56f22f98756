"""Hooks of a run, one per file."""

from mapllava.engine.hooks.ablation_hook import AblationHook
from mapllava.engine.hooks.flat_loss_hook import FlatLossHook
from mapllava.engine.hooks.graceful_stop_hook import GracefulStopHook
from mapllava.engine.hooks.gradient_norm_hook import GradientNormHook
from mapllava.engine.hooks.map_visualization_hook import MapVisualizationHook
from mapllava.engine.hooks.nonfinite_loss_hook import NonFiniteLossHook
from mapllava.engine.hooks.param_scheduler_hook import ParamSchedulerHook
from mapllava.engine.hooks.progress_bar_hook import ProgressBarHook
from mapllava.engine.hooks.reproducible_epochs_hook import ReproducibleEpochsHook
from mapllava.engine.hooks.run_checkpoint_hook import RunCheckpointHook
from mapllava.engine.hooks.run_folder_hook import RunFolderHook
from mapllava.engine.hooks.run_summary_hook import RunSummaryHook
from mapllava.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook
from mapllava.engine.hooks.shared_buffers_hook import SharedBuffersHook
from mapllava.engine.hooks.steady_timer_hook import SteadyTimerHook
from mapllava.engine.hooks.step_timeout_hook import StepTimeoutHook
from mapllava.engine.hooks.warmup_ema_hook import WarmupEMAHook

__all__ = [
    "AblationHook",
    "FlatLossHook",
    "GracefulStopHook",
    "GradientNormHook",
    "MapVisualizationHook",
    "NonFiniteLossHook",
    "ParamSchedulerHook",
    "ProgressBarHook",
    "ReproducibleEpochsHook",
    "RunCheckpointHook",
    "RunFolderHook",
    "RunSummaryHook",
    "SafeCheckpointHook",
    "SharedBuffersHook",
    "SteadyTimerHook",
    "StepTimeoutHook",
    "WarmupEMAHook",
]
